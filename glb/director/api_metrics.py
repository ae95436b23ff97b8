"""What Prometheus scrapes."""

from typing import Annotated

from aiohttp import web

from glb.control.api import InBackground
from glb.control.routes import From, Router, Text
from glb.metrics.exporter import MEDIA_TYPE, Exporter

EXPORTER = web.AppKey("exporter", Exporter)

router = Router("metrics", prefix="")


def _exporter(request: web.Request) -> Exporter:
    return request.app[EXPORTER]


@router.get("/metrics", media_type=MEDIA_TYPE)
async def metrics(exporter: Annotated[Exporter, From(_exporter)], costly: InBackground) -> Text:
    """The metrics of the daemon and its datapaths, in Prometheus' text format. The worker is not waited for."""
    return await exporter.answer(costly)
