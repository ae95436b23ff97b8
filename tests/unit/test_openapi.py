"""docs/openapi.json is what the director's daemon serves."""

import asyncio
import json
import os
from pathlib import Path

from glb.director.announcer import Announcer
from glb.director.api import create_app
from glb.director.health import Keeper
from glb.health.ledger import Memory
from glb.health.monitor import Monitor

WRITTEN = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_api_is_written_out_as_it_is() -> None:
    """After a change: glbctl director openapi > docs/openapi.json"""
    app = create_app(asyncio.Queue(), Announcer((), keep=False), Keeper(Monitor(Memory()), Path(os.devnull)))

    assert json.loads(WRITTEN.read_text()) == app.openapi()
