# SPDX-License-Identifier: MIT
"""Packet counters of the daemon's datapaths, as JSON and in Prometheus' format."""

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web

from glb.control.api import InBackground
from glb.control.routes import ApiRouter, From, RawResponse
from glb.datapath.pins import attached_interfaces
from glb.explain.texts import ExplainText, explained_verdicts
from glb.metrics.exporter import MEDIA_TYPE, Exporter
from glb.metrics.stats import Stats, read_stats

EXPORTER = web.AppKey("exporter", Exporter)
INTERFACES: web.AppKey[Sequence[str]] = web.AppKey("interfaces")

router = ApiRouter("metrics", prefix="")


def _exporter(request: web.Request) -> Exporter:
    return request.app[EXPORTER]


def _interfaces(request: web.Request) -> Sequence[str]:
    return request.app[INTERFACES]


@router.get("/v1/stats")
async def stats(interfaces: Annotated[Sequence[str], From(_interfaces)], costly: InBackground) -> list[Stats]:
    """Packets of each attached interface by verdict; packets and bytes by table, bind and backend."""
    return await costly(lambda: [read_stats(name) for name in attached_interfaces() if name in interfaces])


@router.get("/v1/verdicts")
async def verdicts() -> list[ExplainText]:
    """The verdicts of a director: meaning, usual causes and remedy of each."""
    return explained_verdicts("director")


@router.get("/metrics", media_type=MEDIA_TYPE)
async def metrics(exporter: Annotated[Exporter, From(_exporter)], costly: InBackground) -> RawResponse:
    """The metrics of the daemon and its datapaths, in Prometheus' text format. Does not wait for a lane."""
    return await exporter.answer(costly)
