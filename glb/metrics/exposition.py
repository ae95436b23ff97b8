# SPDX-License-Identifier: MIT
"""The metrics of one daemon in Prometheus' text format."""

from collections.abc import Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from glb.metrics.families import families
from glb.metrics.sample import read_sample

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Datapaths(Collector):
    """Reads the interfaces only when metrics are requested."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._interfaces = interfaces

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering does not read interfaces that are not attached yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return families([read_sample(interface) for interface in self._interfaces])


class Exposition:
    """The interfaces' datapaths, and the process itself."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Datapaths(interfaces))
        ProcessCollector(registry=self._registry)

    def generate(self) -> bytes:
        """Raises the errors of `read_sample`."""
        return generate_latest(self._registry)
