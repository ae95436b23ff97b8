"""What an API's handler needs to have something done by the daemon's worker."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Request

from glb.daemon.lifecycle import ask
from glb.director.controller import Controller

R = TypeVar("R")


class Submit(Protocol):
    """Have the worker do something, after all that was asked for before. Its result or error is the awaiter's."""

    def __call__(self, question: Callable[[Controller], R], /) -> Awaitable[R]: ...


def _submit(request: Request) -> Submit:
    def submit(question: Callable[[Controller], R]) -> Awaitable[R]:
        return ask(request.app.state.actions, question)

    return submit


Worker = Annotated[Submit, Depends(_submit)]
