"""The director's API on its control socket, put together from one router a subject. docs/openapi.json is made of it."""

from collections.abc import Sequence

from fastapi import FastAPI

from glb import __version__
from glb.config.errors import ConfigError
from glb.control.refusal import answer_refusals, refusals
from glb.daemon.lifecycle import Actions
from glb.director import api_daemon, api_health, api_metrics, api_routing, api_tables
from glb.director.announcer import Announcer
from glb.director.controller import Controller
from glb.director.health import Keeper
from glb.metrics.exporter import Exporter
from glb.table.model import TableError

_FAILED = 409


def create_app(
    actions: Actions[Controller], announcer: Announcer, keeper: Keeper, interfaces: Sequence[str] = ()
) -> FastAPI:
    """The application. What it is asked to do, the daemon's worker does; the keeper's monitor tells and sets health.

    interfaces: whose metrics are shown.
    """
    app = FastAPI(
        title="glb director",
        version=__version__,
        description='What `glbctl` asks a director\'s daemon, on its control socket. Errors are {"detail": text}.',
        docs_url=None,
        redoc_url=None,
        responses=refusals(_FAILED),
    )
    app.state.actions = actions
    app.state.announcer = announcer
    app.state.exporter = Exporter(interfaces)
    app.state.keeper = keeper
    app.include_router(api_daemon.router, prefix="/v1")
    app.include_router(api_tables.router, prefix="/v1")
    app.include_router(api_health.router, prefix="/v1")
    app.include_router(api_routing.router, prefix="/v1")
    app.include_router(api_metrics.router)
    answer_refusals(app, (ConfigError, TableError), _FAILED)
    return app
