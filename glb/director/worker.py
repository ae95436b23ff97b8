# SPDX-License-Identifier: MIT
"""What an API's handler needs to have something done by the daemon's worker."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

from aiohttp import web

from glb.control.routes import From
from glb.daemon import lane
from glb.director.controller import Controller

R = TypeVar("R")

LOADS: web.AppKey[lane.Worker[Controller]] = web.AppKey("loads")
PLANS: web.AppKey[lane.Worker[Controller]] = web.AppKey("plans")


class Submit(Protocol):
    """Have the controller do something, after all that was queued before. Its result or error is the awaiter's."""

    def __call__(self, question: Callable[[Controller], R], /) -> Awaitable[R]: ...


def _loads(request: web.Request) -> Submit:
    return _submitter(request, request.app[LOADS])


def _plans(request: web.Request) -> Submit:
    return _submitter(request, request.app[PLANS])


def _controller(request: web.Request) -> Controller:
    return request.app[LOADS].service


def _submitter(request: web.Request, worker: lane.Worker[Controller]) -> Submit:
    what = f"{request.method} {request.path}"

    def submit(question: Callable[[Controller], R]) -> Awaitable[R]:
        return worker.run(what, question)

    return submit


Worker = Annotated[Submit, From(_loads)]
Planner = Annotated[Submit, From(_plans)]
"""For what changes nothing and may take long: it delays no load."""

Now = Annotated[Controller, From(_controller)]
"""The controller itself, for what may be read at any time."""
