# SPDX-License-Identifier: MIT
"""Samples as Prometheus' metric families. Names follow its conventions: base units, `_total` for counters."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from glb import __version__
from glb.daemon.durations import BOUNDS
from glb.datapath.verdicts import verdicts_of
from glb.metrics.sample import Sample

_TRAFFIC = {
    "bind": "sent to backends, by the bind that they matched",
    "backend": "sent to each backend",
}


def families(samples: Sequence[Sample]) -> Iterator[Metric]:
    """The metrics of a daemon's interfaces, which all have the same role."""
    yield InfoMetricFamily("glb_build", "The version that runs.", value={"version": __version__})
    if not samples:
        return
    prefix = f"glb_{samples[0].report.role}"
    yield _packets(prefix, samples)
    yield _gauge(
        f"{prefix}_attached",
        "Whether the XDP program is attached to the interface.",
        ("interface",),
        ([sample.report.interface, float(sample.attached)] for sample in samples),
    )
    yield from _loads(prefix, samples)
    if samples[0].report.role == "director":
        yield _tables(samples)
        yield _load_times(samples)
        yield from _traffic(samples)
        yield from _backends(samples)
        yield _path_mtus(samples)
    else:
        yield _forwards(samples)
        yield _gauge(
            "glb_proxy_return_path",
            "1 if replies from VIPs reach clients; 0 without a route, or if the next hop does not respond.",
            ("interface", "family"),
            (
                [sample.report.interface, family, float(not fault)]
                for sample in samples
                for family, fault in sample.report.return_paths.items()
            ),
        )


def _packets(prefix: str, samples: Sequence[Sample]) -> Metric:
    family = CounterMetricFamily(
        f"{prefix}_packets",
        "Packets by verdict; each packet has exactly one. `glbctl explain VERDICT` describes it.",
        labels=("interface", "verdict", "action"),
    )
    for sample in samples:
        actions = {verdict.name: verdict.action for verdict in verdicts_of(sample.report.role)}
        for verdict, count in sample.packets.items():
            family.add_metric((sample.report.interface, verdict, actions[verdict]), count)
    return family


def _loads(prefix: str, samples: Sequence[Sample]) -> Iterator[Metric]:
    reports = [sample.report for sample in samples]
    yield _gauge(
        f"{prefix}_last_load_successful",
        "1 if the present files are in force, 0 if they were refused.",
        ("interface",),
        ([report.interface, float(report.error is None)] for report in reports),
    )
    yield _gauge(
        f"{prefix}_last_load_timestamp_seconds",
        "When the files in force were loaded, in seconds since 1970.",
        ("interface",),
        ([report.interface, datetime.fromisoformat(report.loaded).timestamp()] for report in reports if report.loaded),
    )
    yield _gauge(
        f"{prefix}_last_load_duration_seconds",
        "Duration of the last load, from reading the files to the switch.",
        ("interface",),
        ([report.interface, report.load_seconds] for report in reports if report.load_seconds is not None),
    )


def _load_times(samples: Sequence[Sample]) -> Metric:
    family = HistogramMetricFamily(
        "glb_director_load_duration_seconds",
        "Durations of putting tables in force since the daemon's start, by cause: changed files, or changed health.",
        labels=("interface", "cause"),
    )
    for report in (sample.report for sample in samples):
        for cause, times in (("files", report.load_times), ("health", report.health_times)):
            buckets = zip((*map(str, BOUNDS), "+Inf"), accumulate(times.counts), strict=True)
            family.add_metric((report.interface, cause), [*buckets], times.total)
    return family


def _traffic(samples: Sequence[Sample]) -> Iterator[Metric]:
    for kind, what in _TRAFFIC.items():
        labels = ("interface", "table", kind)
        packets = CounterMetricFamily(f"glb_director_{kind}_packets", f"Packets {what}.", labels=labels)
        size = CounterMetricFamily(
            f"glb_director_{kind}_bytes", f"Bytes {what}: of the clients' packets, without the tunnel.", labels=labels
        )
        for sample in samples:
            for (counted, table, name), (number, octets) in sample.traffic.items():
                if counted == kind:
                    packets.add_metric((sample.report.interface, table, name), number)
                    size.add_metric((sample.report.interface, table, name), octets)
        yield packets
        yield size


def _forwards(samples: Sequence[Sample]) -> Metric:
    family = CounterMetricFamily(
        "glb_proxy_second_chance_forwards",
        "Packets forwarded for a second chance, by the address of the next hop.",
        labels=("interface", "next_hop"),
    )
    for sample in samples:
        for hop, count in sample.forwards.items():
            family.add_metric((sample.report.interface, str(hop)), count)
    return family


def _tables(samples: Sequence[Sample]) -> Metric:
    reports = [sample.report for sample in samples]
    return _gauge(
        "glb_director_tables_info",
        "The digest of the tables in force, which must be equal on all directors of a service.",
        ("interface", "digest"),
        ([report.interface, report.tables_digest, 1.0] for report in reports if report.tables_digest),
    )


def _backends(samples: Sequence[Sample]) -> Iterator[Metric]:
    labels = ("interface", "table", "backend")
    states = [
        (sample.report, table.name, address, state, health != "unhealthy")
        for sample in samples
        for table in sample.report.tables
        for address, (state, _, health) in ((ip, text.partition(", ")) for ip, text in table.backends.items())
    ]
    yield _gauge(
        "glb_director_backend_state",
        "1 for the state of a backend.",
        (*labels, "state"),
        ([report.interface, table, address, state, 1.0] for report, table, address, state, _ in states),
    )
    yield _gauge(
        "glb_director_backend_healthy",
        "1 if a backend is up, by its checks or because it is held.",
        labels,
        ([report.interface, table, address, float(healthy)] for report, table, address, _, healthy in states),
    )
    yield _gauge(
        "glb_director_backend_held",
        "1 for a backend that is kept in rotation by hold_share, although its checks fail.",
        labels,
        (
            [report.interface, table, address, float((table, address) in held)]
            for report, held in ((sample.report, _held(sample)) for sample in samples)
            for table, address in ((table.name, address) for table in report.tables for address in table.backends)
        ),
    )
    yield _gauge(
        "glb_director_table_cut_off",
        "1 for a table of which the director reaches no backend: all health checks fail, or no next hop is known.",
        ("interface", "table"),
        (
            [report.interface, table.name, float(table.name in unreached)]
            for report, unreached in ((sample.report, sample.report.unreached()) for sample in samples)
            for table in report.tables
        ),
    )
    yield _gauge(
        "glb_director_backend_next_hop_known",
        "1 if the MAC of the next hop to a backend is known; otherwise packets to it are dropped.",
        labels,
        (
            [report.interface, table, address, float(address not in report.unreachable)]
            for report, table, address, _, _ in states
        ),
    )


def _held(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset((held.table, held.backend) for held in sample.report.held)


def _path_mtus(samples: Sequence[Sample]) -> Metric:
    reports = [sample.report for sample in samples]
    return _gauge(
        "glb_director_backend_mtu_bytes",
        "The path MTU to a backend for outer packets, as far as routes and routers report it.",
        ("interface", "table", "backend"),
        (
            [report.interface, table.name, address, report.path_mtus.get(address, report.mtu)]
            for report in reports
            if report.mtu is not None
            for table in report.tables
            for address in table.backends
        ),
    )


def _gauge(name: str, documentation: str, labels: Sequence[str], rows: Iterable[Sequence[str | float]]) -> Metric:
    """A family of gauges. A row is the values of its labels, then its value."""
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for *values, number in rows:
        family.add_metric([str(value) for value in values], float(number))
    return family
