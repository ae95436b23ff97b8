# SPDX-License-Identifier: MIT
"""What is told of a packet's visit, by this host's datapaths or by another host's trace: a line of JSON each."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address

from pydantic import TypeAdapter, ValidationError

from glb.errors import CaptureError


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel's header: whom it is addressed to, and the list of hops of which `next_hop` is the next to be asked."""

    source: IPv4Address
    target: IPv4Address
    next_hop: int
    hops: tuple[IPv4Address, ...]

    @property
    def rest(self) -> tuple[IPv4Address, ...]:
        """Who is still to be asked."""
        return self.hops[self.next_hop :]


@dataclass(frozen=True, slots=True)
class Inner:
    """A client's packet. Ports are None where it has none; what: flags or kind; size: bytes of payload.

    digest: of its headers and what is behind them, which no datapath changes: it is the same wherever the packet is.
    """

    src: str
    dst: str
    src_port: int | None
    dst_port: int | None
    protocol: str
    what: str
    size: int
    digest: str

    def __str__(self) -> str:
        return f"{_endpoint(self.src, self.src_port)} > {_endpoint(self.dst, self.dst_port)} {self.what}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """Where a packet's flow is in the tables."""

    table: str
    bind: str
    row: int

    def __str__(self) -> str:
        return f"bind {self.bind} of table {self.table}, row {self.row}"


@dataclass(frozen=True, slots=True)
class Told:
    """A packet's visit to a host's datapath.

    time: of its end, in seconds since 1970 by that host's clock. action: the XDP action. length: of the frame as it
    came, in bytes. packet, came_in, left_in: None if there was no IP packet, or no tunnel. row: of a director's visit,
    if a trace tells it.
    """

    host: str
    time: float
    interface: str
    program: str
    verdict: str
    action: str
    length: int
    decision: str
    packet: Inner | None
    came_in: Tunnel | None
    left_in: Tunnel | None
    row: Row | None = None

    @property
    def step(self) -> int:
        """Where on the packet's way it was: 0 at a director, 1 at its row's first hop, and so on."""
        return 0 if self.came_in is None else 1 + self.came_in.next_hop


_LINE = TypeAdapter(Told)


def to_line(told: Told) -> str:
    """As JSON in ASCII, without the line's end."""
    return json.dumps(_LINE.dump_python(told, mode="json"))


def of_line(line: str | bytes) -> Told:
    """Raises CaptureError if the line is no visit's."""
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise CaptureError(f"this is not what a trace tells: {where + ': ' if where else ''}{problem['msg']}") from None


def _endpoint(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
