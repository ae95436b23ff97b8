# SPDX-License-Identifier: MIT
"""The metrics exporter for Prometheus, on TCP and for the control socket."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from glb.config.model import Metrics
from glb.control.api import Api, InBackground
from glb.control.background import BackgroundRunner
from glb.control.connection_limits import ConnectionLimits
from glb.control.routes import ApiRouter, RawResponse
from glb.control.tcp_server import TcpServer
from glb.daemon.lane import Worker

if TYPE_CHECKING:
    from glb.metrics.exposition import Exposition

MEDIA_TYPE = "text/plain"  # as in the API's description; responses add the version of the format

_FAILED = 503
_LIMITS = ConnectionLimits()
_FRESH_SECONDS = 1.0  # requests within this time share one reading of the maps


class Exporter:
    """Answers requests for the metrics of one daemon."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._interfaces = interfaces
        self._exposition: Exposition | None = None
        self._turn = asyncio.Lock()
        self._last: RawResponse | None = None
        self._until = 0.0

    async def answer(self, costly: BackgroundRunner) -> RawResponse:
        """The metrics in Prometheus' text format, at most a second old. Raises the errors of `read_sample`."""
        async with self._turn:
            if self._last is None or time.monotonic() >= self._until:
                self._last = await costly(self._generate)
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._last

    def _generate(self) -> RawResponse:
        """At the first request, the client library is imported: a daemon that is never queried does without."""
        from glb.metrics.exposition import CONTENT_TYPE, Exposition

        if self._exposition is None:
            self._exposition = Exposition(self._interfaces)
        return RawResponse(self._exposition.generate(), CONTENT_TYPE)


class Measured(Protocol):
    """A service that records in its status where the exporter listens."""

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None: ...


S = TypeVar("S", bound=Measured)


async def serve_metrics(
    traffic: Worker[S], configured: Callable[[], Metrics | None], interfaces: Sequence[str], stop: asyncio.Event
) -> None:
    """Serve GET /metrics by TCP until stop is set. configured: returns the present address; None: do not serve."""
    shown = Exporter(interfaces)
    router = ApiRouter("metrics", prefix="")

    @router.get("/metrics", media_type=MEDIA_TYPE)
    async def metrics(costly: InBackground) -> RawResponse:
        return await shown.answer(costly)

    api = Api("glb metrics", "The metrics of a daemon.", router.routes, _FAILED)

    async def wanted() -> Metrics | None:
        return configured()

    async def note(places: tuple[str, ...], trouble: str | None) -> None:
        await traffic.run("report", lambda service: service.note_metrics(places, trouble))

    exporter = TcpServer[Metrics](
        "the metrics exporter", lambda _: api, lambda where: (where.listen,), lambda where: where.sources, _LIMITS
    )
    await exporter.serve(wanted, note, stop)
