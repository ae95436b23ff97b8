# SPDX-License-Identifier: MIT
"""An API: its routes as an aiohttp application. Every error is answered as {"detail": text}."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web

from glb import __version__
from glb.control.background import Background, BackgroundRunner
from glb.control.connection_limits import source_of
from glb.control.openapi import describe
from glb.control.routes import ApiRoute, From, RawResponse
from glb.errors import BadRequestError, GlbError

log = logging.getLogger(__name__)

_BAD_INPUT = 422
_PART_BYTES = 1 << 16  # written at a time: the memory that a slow reader occupies
_BETWEEN_FAULTS = 60.0  # seconds between two log lines about unexpected errors

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_background = web.AppKey("background", Background)


@dataclass(frozen=True, slots=True)
class Api:
    """The routes of one server.

    failed: the HTTP status of errors other than bad input. bad_input: error types that mean bad input, besides
    BadRequestError. state: values that the routes' `From` read, by application key.
    """

    title: str
    description: str
    routes: Sequence[ApiRoute]
    failed: int
    bad_input: tuple[type[GlbError], ...] = ()
    state: Sequence[tuple[web.AppKey[Any], Any]] = ()

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 description."""
        return describe(self.title, __version__, self.description, self.routes, _BAD_INPUT, self.failed)

    def application(self, body_bytes: int) -> web.Application:
        """A new application; body_bytes: the largest request body."""
        app = web.Application(middlewares=[_Refuse(self).answer], client_max_size=body_bytes)
        app[_background] = Background()
        app.on_cleanup.append(_stop)
        for key, value in self.state:
            app[key] = value
        for route in self.routes:
            app.router.add_route(route.method, route.path.replace("{table}", "{table:.+}"), _handler(route))
        return app


def _costly(request: web.Request) -> BackgroundRunner:
    source = source_of(request.remote) if request.remote else "local"
    background = request.app[_background]
    return lambda work: background.run(source, work)


InBackground = Annotated[BackgroundRunner, From(_costly)]
"""For a parameter of a handler: runs slow work in the background."""


async def _stop(app: web.Application) -> None:
    app[_background].close()


def _handler(route: ApiRoute) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await route.call(request)
        if isinstance(answer, RawResponse):
            return await _send(request, 200, answer.content, answer.content_type)
        assert route.answer is not None
        content = await asyncio.to_thread(route.answer.dump_json, answer)  # takes long for 10,000 backends
        return await _send(request, 200, content, route.media_type)

    return handle


class _Refuse:
    """Turns errors into answers. Unexpected errors are logged, at most one a minute: a client could cause many."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._silent_until = 0.0

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            status, detail = error.status, error.reason
            if isinstance(error, web.HTTPRequestEntityTooLarge):
                detail = f"{detail}: at most {request.client_max_size} bytes"
        except GlbError as error:
            is_bad = isinstance(error, (BadRequestError, *self._api.bad_input))
            status, detail = _BAD_INPUT if is_bad else self._api.failed, str(error)
        except ConnectionError:  # the client has gone
            raise
        except Exception as error:
            status, detail = 500, f"internal error: {error!r}"
            if time.monotonic() >= self._silent_until:
                self._silent_until = time.monotonic() + _BETWEEN_FAULTS
                log.exception("%s: a request failed", self._api.title)
        return await _send(request, status, json.dumps({"detail": detail}).encode(), "application/json")


async def _send(request: web.Request, status: int, content: bytes, content_type: str) -> web.StreamResponse:
    """Write the answer in parts, so that a slow reader does not keep a second copy of a large answer in memory."""
    response = web.StreamResponse(status=status, headers={"Content-Type": content_type, "Server": "glb"})
    response.content_length = len(content)
    await response.prepare(request)
    whole = memoryview(content)
    for start in range(0, len(whole), _PART_BYTES):
        await response.write(whole[start : start + _PART_BYTES])
    await response.write_eof()
    return response
