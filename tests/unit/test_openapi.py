# SPDX-License-Identifier: MIT
"""docs/openapi.json is what the director's daemon serves, docs/openapi-proxy.json what the proxy's agent does."""

import json
import os
from pathlib import Path

from glb.daemon.lane import Lane
from glb.director import api as director_api
from glb.director.announcer import Announcer
from glb.director.health_duties import HealthFile
from glb.health.monitor import Monitor
from glb.health.state import SavedState
from glb.proxy import agent_api

DOCS = Path(__file__).parents[2] / "docs"


def test_the_directors_description_is_current() -> None:
    """After a change: glbctl director openapi > docs/openapi.json"""
    health_file = HealthFile(Monitor(SavedState()), Path(os.devnull), Lane("none"))
    api = director_api.create_api(None, None, Announcer((), keep=lambda: False), health_file)

    assert json.loads((DOCS / "openapi.json").read_text()) == api.openapi()


def test_the_agents_description_is_current() -> None:
    """After a change: glbctl proxy openapi > docs/openapi-proxy.json"""
    nowhere = agent_api.AgentSettings(interface="", addresses=(), port=0, sources=(), namespaces=())

    assert json.loads((DOCS / "openapi-proxy.json").read_text()) == agent_api.create_api(nowhere).openapi()
