"""How an API says no: {"detail": text}, whoever it is that refuses."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from glb.errors import GlbError

_BAD_INPUT = 422


class Refusal(BaseModel):
    """What is wrong, where, and what to do."""

    detail: str


def refusals(failed: int) -> dict[int | str, dict[str, Any]]:
    """The answers that are errors, as an API's description has them."""
    return {
        _BAD_INPUT: {"model": Refusal, "description": "What was asked for is not valid"},
        failed: {"model": Refusal, "description": "It is refused, or cannot be done now"},
    }


def answer_refusals(app: FastAPI, bad_input: tuple[type[GlbError], ...], failed: int) -> None:
    """Have errors answered by what they say: those of bad input with status 422, the others with `failed`."""

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, _BAD_INPUT if isinstance(error, bad_input) else failed)

    async def refuse_input(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": "\n".join(map(_told, error.errors()))}, _BAD_INPUT)

    app.add_exception_handler(GlbError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_input)


def _told(problem: dict[str, Any]) -> str:
    """Such as "reason: String should have at most 200 characters"; it does not say where in a request that was."""
    place = ".".join(str(part) for part in problem["loc"][1:])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
