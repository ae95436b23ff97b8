# SPDX-License-Identifier: MIT
"""The counters of a datapath since it was attached, for `glbctl stats` and the APIs.

They are read from the pinned maps, with or without a daemon. Bytes are those of the clients' packets, without the
tunnel.
"""

from collections import defaultdict
from dataclasses import dataclass

from glb.daemon.report import read_report, report_path
from glb.datapath.counters import read_counters, read_forwards, read_pinned_traffic
from glb.datapath.inspection import attached_program


@dataclass(frozen=True, slots=True)
class TableTraffic:
    """Packets sent to a table's backends: the sum over its binds."""

    table: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BindTraffic:
    """Packets that matched a bind. `table` is "" for a bind that is no longer in a table."""

    table: str
    bind: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BackendTraffic:
    """Packets sent to a backend as the first hop."""

    table: str
    backend: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ForwardTraffic:
    """Packets that a proxy has forwarded to a next hop."""

    next_hop: str
    packets: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The counters of one interface. program: "director" or "proxy". packets: by verdict.

    tables, binds, backends: of a director. next_hops: of a proxy.
    """

    interface: str
    program: str
    packets: dict[str, int]
    tables: tuple[TableTraffic, ...] = ()
    binds: tuple[BindTraffic, ...] = ()
    backends: tuple[BackendTraffic, ...] = ()
    next_hops: tuple[ForwardTraffic, ...] = ()


def read_stats(interface: str) -> Stats:
    """Raises DatapathError if no program is attached; NotAllowedError; ReportError."""
    program = attached_program(interface)
    packets = read_counters(interface, program)
    if program == "proxy":
        hops = (ForwardTraffic(str(hop), number) for hop, number in read_forwards(interface).items())
        return Stats(interface, program, packets, next_hops=tuple(hops))
    return _of_director(interface, program, packets)


def _of_director(interface: str, program: str, packets: dict[str, int]) -> Stats:
    """The interface's status file assigns counters to binds and backends; without it, they are not known."""
    path = report_path(interface)
    traffic = read_report(path).traffic if path.exists() else ()
    entries = {(kind, table, name): entry for kind, table, name, entry in traffic}
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    binds, backends = [], []
    for (kind, table, name), (number, size) in read_pinned_traffic(interface, entries).items():
        if kind == "backend":
            backends.append(BackendTraffic(table, name, number, size))
            continue
        binds.append(BindTraffic(table, name, number, size))
        sums[table][0] += number
        sums[table][1] += size
    tables = (TableTraffic(table, number, size) for table, (number, size) in sums.items() if table)
    return Stats(interface, program, packets, tuple(tables), tuple(binds), tuple(backends))
