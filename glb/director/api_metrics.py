"""What Prometheus asks."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from glb.metrics.exporter import Exporter

router = APIRouter(tags=["metrics"])


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """The metrics of the daemon and its datapaths, in Prometheus' text format. The worker is not waited for."""
    exporter: Exporter = request.app.state.exporter
    return exporter.answer()
