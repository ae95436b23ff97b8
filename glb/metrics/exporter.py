"""What Prometheus is answered, and by TCP where it is told to ask."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from glb.config.model import Listen
from glb.control.guest import Guest
from glb.control.refusal import answer_refusals
from glb.daemon.lifecycle import Actions, Service, ask
from glb.metrics.families import families
from glb.metrics.sample import take

_FAILED = 503


class _Datapaths(Collector):
    """Looks at the interfaces when it is asked, and at no other time."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._interfaces = interfaces

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not look at interfaces that are not attached yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families([take(interface) for interface in self._interfaces])


class Exporter:
    """The metrics of one daemon: its interfaces' datapaths, and the process itself."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Datapaths(interfaces))
        ProcessCollector(registry=self._registry)

    def answer(self) -> Response:
        """Everything as it is now, in Prometheus' text format. Raises what `sample.take` raises."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class Measured(Service, Protocol):
    """What the exporter tells of itself to."""

    def note_metrics(self, places: tuple[str, ...], trouble: str | None) -> None: ...


S = TypeVar("S", bound=Measured)


async def serve_metrics(
    actions: Actions[S], listen: Callable[[], Listen | None], interfaces: Sequence[str], stop: asyncio.Event
) -> None:
    """Answer GET /metrics by TCP until stop is set. listen: asked at each look where; None: nowhere."""
    app = FastAPI(openapi_url=None)
    app.get("/metrics")(Exporter(interfaces).answer)
    answer_refusals(app, (), _FAILED)

    async def wanted() -> Listen | None:
        return listen()

    async def note(places: tuple[str, ...], trouble: str | None) -> None:
        await ask(actions, lambda service: service.note_metrics(places, trouble))

    exporter = Guest[Listen]("the metrics exporter", lambda _: app, lambda place: (place,))
    await exporter.serve(wanted, note, stop)
