"""What Prometheus is answered, and by TCP where it is told to ask."""

import asyncio
import logging
import socket
from collections.abc import Iterable, Sequence

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from glb.config.model import Listen
from glb.control.refusal import answer_refusals
from glb.control.server import serve_on
from glb.metrics.families import families
from glb.metrics.sample import take

_FAILED = 503

log = logging.getLogger(__name__)


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


async def serve_metrics(listen: Listen | None, interfaces: Sequence[str], stop: asyncio.Event) -> None:
    """Answer GET /metrics by TCP until stop is set. If the port cannot be had, that is logged: traffic goes on."""
    if listen is None:
        return
    try:
        listener = socket.create_server(
            (str(listen.address), listen.port),
            family=socket.AF_INET6 if listen.address.version == 6 else socket.AF_INET,
        )
    except OSError as error:
        log.error("metrics are not served on %s: %s", listen, error.strerror)
        return
    exporter = Exporter(interfaces)
    app = FastAPI(openapi_url=None)
    app.get("/metrics")(exporter.answer)
    answer_refusals(app, (), _FAILED)
    with listener:
        await serve_on(app, listener, stop)
