# SPDX-License-Identifier: MIT
"""The director's API on its control socket, with a router for each subject. docs/openapi.json is generated from it."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from glb.control.api import Api
from glb.daemon.lane import Worker
from glb.director import api_daemon, api_health, api_metrics, api_parameters, api_routing, api_tables
from glb.director.announcer import Announcer
from glb.director.controller import Controller
from glb.director.health_duties import HealthFile
from glb.errors import ConfigError, TableError
from glb.metrics.exporter import Exporter

_ROUTERS = (api_daemon.router, api_tables.router, api_health.router, api_routing.router, api_metrics.router)
_FAILED = 409


def create_api(
    loads: Worker[Controller] | None,
    plans: Worker[Controller] | None,
    announcer: Announcer,
    health_file: HealthFile,
    interfaces: Sequence[str] = (),
) -> Api:
    """The API. health_file: also gives access to the monitor.

    loads: for changes. plans: for long work that changes nothing. Both are None if the API is only described.
    interfaces: for metrics.
    """
    state: list[tuple[web.AppKey[Any], Any]] = [
        (api_parameters.LOADS, loads),
        (api_parameters.PLANS, plans),
        (api_routing.ANNOUNCER, announcer),
        (api_metrics.EXPORTER, Exporter(interfaces)),
        (api_metrics.INTERFACES, interfaces),
        (api_health.HEALTH_FILE, health_file),
    ]
    return Api(
        title="glb director",
        description='The API of a director\'s daemon, on its control socket. Errors are {"detail": text}.',
        routes=[route for router in _ROUTERS for route in router.routes],
        failed=_FAILED,
        bad_input=(ConfigError, TableError),
        state=state,
    )
