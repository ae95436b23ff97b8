"""What an API's handler needs to have something done by the daemon's worker."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

from aiohttp import web

from glb.control.routes import From
from glb.daemon.lifecycle import Actions, ask
from glb.director.controller import Controller

R = TypeVar("R")

ACTIONS: web.AppKey[Actions[Controller]] = web.AppKey("actions")


class Submit(Protocol):
    """Have the worker do something, after all that was asked for before. Its result or error is the awaiter's."""

    def __call__(self, question: Callable[[Controller], R], /) -> Awaitable[R]: ...


def _submit(request: web.Request) -> Submit:
    def submit(question: Callable[[Controller], R]) -> Awaitable[R]:
        return ask(request.app[ACTIONS], question)

    return submit


Worker = Annotated[Submit, From(_submit)]
