# SPDX-License-Identifier: MIT
"""The metrics exporter for Prometheus, on TCP and for the control socket."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from glb.config.model import Metrics
from glb.control.api import Api, InBackground
from glb.control.background import BackgroundRunner
from glb.control.connection_limits import ConnectionLimits
from glb.control.routes import ApiRouter, RawResponse
from glb.control.tcp_server import TcpServer
from glb.daemon.lane import Worker
from glb.metrics.families import families
from glb.metrics.sample import read_sample

MEDIA_TYPE = "text/plain"  # as in the API's description; responses add the version of the format

_FAILED = 503
_LIMITS = ConnectionLimits()
_FRESH_SECONDS = 1.0  # requests within this time share one reading of the maps


class _Datapaths(Collector):
    """Reads the interfaces only when metrics are requested."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._interfaces = interfaces

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not read interfaces that are not attached yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families([read_sample(interface) for interface in self._interfaces])


class Exporter:
    """The metrics of one daemon: its interfaces' datapaths, and the process itself."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Datapaths(interfaces))
        ProcessCollector(registry=self._registry)
        self._turn = asyncio.Lock()
        self._last: RawResponse | None = None
        self._until = 0.0

    async def answer(self, costly: BackgroundRunner) -> RawResponse:
        """The metrics in Prometheus' text format, at most a second old. Raises the errors of `read_sample`."""
        async with self._turn:
            if self._last is None or time.monotonic() >= self._until:
                content = await costly(lambda: generate_latest(self._registry))
                self._last = RawResponse(content, CONTENT_TYPE_LATEST)
                self._until = time.monotonic() + _FRESH_SECONDS
            return self._last


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
