"""docs/openapi.json is what the director's daemon serves."""

import asyncio
import json
from pathlib import Path

from glb.director.announcer import Announcer
from glb.director.api import create_app

WRITTEN = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_api_is_written_out_as_it_is() -> None:
    """After a change: glbctl director openapi > docs/openapi.json"""
    assert json.loads(WRITTEN.read_text()) == create_app(asyncio.Queue(), Announcer((), keep=False)).openapi()
