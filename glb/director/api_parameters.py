# SPDX-License-Identifier: MIT
"""The parameters of the API's handlers that come from the daemon, not from the client."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

from aiohttp import web

from glb.control.routes import From
from glb.daemon.lane import Worker
from glb.director.controller import Controller

R = TypeVar("R")

LOADS: web.AppKey[Worker[Controller]] = web.AppKey("loads")
PLANS: web.AppKey[Worker[Controller]] = web.AppKey("plans")


class Submit(Protocol):
    """Queues work for the controller. The awaiter receives its result or error."""

    def __call__(self, work: Callable[[Controller], R], /) -> Awaitable[R]: ...


def _loads(request: web.Request) -> Submit:
    return _submitter(request, request.app[LOADS])


def _plans(request: web.Request) -> Submit:
    return _submitter(request, request.app[PLANS])


def _controller(request: web.Request) -> Controller:
    return request.app[LOADS].service


def _submitter(request: web.Request, worker: Worker[Controller]) -> Submit:
    what = f"{request.method} {request.path}"

    def submit(work: Callable[[Controller], R]) -> Awaitable[R]:
        return worker.run(what, work)

    return submit


LoadsLane = Annotated[Submit, From(_loads)]
"""The lane for changes."""

PlansLane = Annotated[Submit, From(_plans)]
"""The lane for work that changes nothing and may take long: it delays no load."""

CurrentController = Annotated[Controller, From(_controller)]
"""The controller itself, for attributes that may be read at any time."""
