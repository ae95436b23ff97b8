"""The director's API on its control socket, put together from one router a subject. docs/openapi.json is made of it."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from glb.config.errors import ConfigError
from glb.control.api import Api
from glb.daemon.lifecycle import Actions
from glb.director import api_daemon, api_health, api_metrics, api_routing, api_tables, worker
from glb.director.announcer import Announcer
from glb.director.controller import Controller
from glb.director.health import Keeper
from glb.metrics.exporter import Exporter
from glb.table.model import TableError

_ROUTERS = (api_daemon.router, api_tables.router, api_health.router, api_routing.router, api_metrics.router)
_FAILED = 409


def create_api(
    actions: Actions[Controller], announcer: Announcer, keeper: Keeper, interfaces: Sequence[str] = ()
) -> Api:
    """The API. The daemon's worker does what it requests; the keeper's monitor holds the health.

    interfaces: whose metrics are shown.
    """
    state: list[tuple[web.AppKey[Any], Any]] = [
        (worker.ACTIONS, actions),
        (api_routing.ANNOUNCER, announcer),
        (api_metrics.EXPORTER, Exporter(interfaces)),
        (api_health.KEEPER, keeper),
    ]
    return Api(
        title="glb director",
        description='The API of a director\'s daemon, on its control socket. Errors are {"detail": text}.',
        routes=[route for router in _ROUTERS for route in router.routes],
        failed=_FAILED,
        bad_input=(ConfigError, TableError),
        state=state,
    )
