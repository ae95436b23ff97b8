# SPDX-License-Identifier: MIT
"""Events: what a capture reports of each packet, on this host or from another host's trace, as a line of JSON."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address

from pydantic import TypeAdapter, ValidationError

from glb.errors import CaptureError


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel's headers: outer source and destination, and the list of hops. next_hop: index of the first hop in the
    list that has not had the packet."""

    source: IPv4Address
    target: IPv4Address
    next_hop: int
    hops: tuple[IPv4Address, ...]

    @property
    def rest(self) -> tuple[IPv4Address, ...]:
        """The hops that have not had the packet."""
        return self.hops[self.next_hop :]


@dataclass(frozen=True, slots=True)
class ClientPacket:
    """A client's packet. Ports are None where it has none; what: flags or kind; size: bytes of payload.

    digest: over its headers and the start of its payload, which no datapath changes: the same on every host.
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
    """The bind, table and row of a packet's flow."""

    table: str
    bind: str
    row: int

    def __str__(self) -> str:
        return f"bind {self.bind} of table {self.table}, row {self.row}"


@dataclass(frozen=True, slots=True)
class Event:
    """What one host's datapath did with one packet.

    time: when the program ended, in seconds since 1970 by that host's clock. action: the XDP action. length: of the
    frame as received, in bytes. packet, came_in, left_in: the client's packet, the tunnel it was received in and the
    one it was sent in; None if it was no IP packet or there was no tunnel. row: set by a director's trace.
    """

    host: str
    time: float
    interface: str
    program: str
    verdict: str
    action: str
    length: int
    decision: str
    packet: ClientPacket | None
    came_in: Tunnel | None
    left_in: Tunnel | None
    row: Row | None = None

    @property
    def step(self) -> int:
        """The position on the packet's path: 0 at a director, 1 at its row's first hop, and so on."""
        return 0 if self.came_in is None else 1 + self.came_in.next_hop


_LINE = TypeAdapter(Event)


def to_line(event: Event) -> str:
    """As JSON in ASCII, without the line's end."""
    return json.dumps(_LINE.dump_python(event, mode="json"))


def of_line(line: str | bytes) -> Event:
    """Raises CaptureError if the line is not an event."""
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise CaptureError(f"not an event of a trace: {where + ': ' if where else ''}{problem['msg']}") from None


def _endpoint(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
