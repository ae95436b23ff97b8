# SPDX-License-Identifier: MIT
"""Directors with tables and binds in them, and the packets to measure them with."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bench import frames
from bench.cases import Case, Flows, Harness
from glb.datapath.director import DirectorDatapath
from glb.datapath.generation import NetworkView
from glb.director.sources import Loaded, Sources, read

MANY_TABLES = 256
_BACKENDS = 16
_MTU = 9000
_CONFIG = {
    "outbound_gateway_mac": frames.PEER_MAC,
    "outbound_src_ip": frames.DIRECTOR,
    "icmp_echo": "pass",
    "mtu": _MTU,
}

Bind = dict[str, Any]
Tables = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A director's tables, and what is measured on them: name, frame, verdict; and whether all rows are used."""

    tables: Tables
    packets: tuple[tuple[str, bytes, str], ...]
    flows: str | None = None


def exact(address: str = frames.VIP4, port: int = frames.PORT) -> Bind:
    return {"ip": address, "proto": "tcp", "port": port}


def ranged(address: str, first: int, last: int) -> Bind:
    return {"ip": address, "proto": "tcp", "port_start": first, "port_end": last}


def table(number: int, *binds: Bind, backends: int = _BACKENDS) -> dict[str, Any]:
    """Each table has a hash key, a seed and backends of its own."""
    first = int(IPv4Address("10.1.0.1")) + 256 * number
    return {
        "name": f"table{number}",
        "hash_key": f"{number + 1:032x}",
        "seed": f"{number + 1001:032x}",
        "binds": list(binds),
        "backends": [{"ip": str(IPv4Address(first + n)), "state": "active", "healthy": True} for n in range(backends)],
    }


def tables(number: int) -> Tables:
    """Tables of one address each, of which the first is the VIP."""
    return [table(n, exact(_vip(n))) for n in range(number)]


def binds(number: int) -> Tables:
    """One table with so many binds, a hundred ports an address at most."""
    pairs = ((_vip(n // 100), frames.PORT + n % 100) for n in range(number))
    return [table(0, *(exact(address, port) for address, port in pairs))]


def samples() -> list[Sample]:
    """Everything that is measured on directors. One bind in one table comes first: others are compared with it."""
    short = frames.tcp4(64)
    beside = [exact(), {"ip": "203.0.112.0/24", "proto": "tcp", "port": 80}, ranged("203.0.111.1", 8000, 8999)]
    return [
        Sample(
            tables(1),
            (
                ("TCP IPv4, 64 bytes", short, "encapsulated"),
                ("TCP IPv4, 512 bytes", frames.tcp4(512), "encapsulated"),
                ("TCP IPv4, 1500 bytes", frames.tcp4(1500), "encapsulated"),
                ("ICMP error", frames.icmp_error(), "encapsulated"),
                ("no match", frames.tcp4(64, port=81), "pass_no_bind"),
            ),
            "all rows, 1 table",
        ),
        Sample([table(0, exact(frames.VIP6))], (("TCP IPv6", frames.tcp6(), "encapsulated"),)),
        Sample(
            [table(0, {"ip": "203.0.113.0/24", "proto": "tcp", "port": 80})], (("CIDR bind", short, "encapsulated"),)
        ),
        Sample([table(0, ranged(frames.VIP4, 79, 8999))], (("range bind", short, "encapsulated"),)),
        Sample([table(0, *beside)], (("exact bind beside CIDR and range", short, "encapsulated"),)),
        Sample(binds(100), (("100 binds", short, "encapsulated"),)),
        Sample(binds(10_000), (("10,000 binds", short, "encapsulated"),)),
        Sample(tables(16), (("16 tables", short, "encapsulated"),), "all rows, 16 tables"),
        Sample(tables(MANY_TABLES), (("256 tables", short, "encapsulated"),), "all rows, 256 tables"),
    ]


@contextmanager
def director(sources: Tables) -> Iterator[DirectorDatapath]:
    """A director's program with these tables in its maps, attached to nothing."""
    with tempfile.TemporaryDirectory(prefix="glb-bench-") as folder:
        loaded = read(files(Path(folder), sources))
    with closing(DirectorDatapath.load(loaded.layout)) as datapath:
        write(datapath, loaded)
        yield datapath


def files(folder: Path, sources: Tables) -> Sources:
    """A director's two files."""
    written = Sources(folder / "director.conf", folder / "forwarding_table.json")
    written.config.write_text(json.dumps(_CONFIG))
    written.table.write_text(json.dumps({"tables": sources}))
    return written


def write(datapath: DirectorDatapath, loaded: Loaded) -> None:
    """Into the maps, with a network around the director that it knows already."""
    datapath.write(loaded.layout, loaded.config, _surroundings(loaded))


def cases(sample: Sample, datapath: DirectorDatapath) -> list[Case]:
    """What is measured on one director."""
    program = datapath.program
    found = [
        Case(name, program, Harness.FRONT, partial(bytes, frame), verdict) for name, frame, verdict in sample.packets
    ]
    if sample.flows:
        flows = Flows(int(IPv4Address(frames.CLIENT4)), int(IPv4Address(frames.VIP4)), len(sample.tables))
        frame = partial(frames.tcp4, 64)
        found.append(Case(sample.flows, program, Harness.FLOWS, frame, "encapsulated", flows))
    return found


def _surroundings(loaded: Loaded) -> NetworkView:
    next_hop = frames.mac(frames.PEER_MAC)
    return NetworkView(
        frames.mac(frames.HOST_MAC), _MTU, {backend.address: next_hop for backend in loaded.layout.backends}
    )


def _vip(number: int) -> str:
    return str(IPv4Address(frames.VIP4) + number)
