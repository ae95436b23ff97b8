# SPDX-License-Identifier: MIT
"""The content of the JSON files as immutable values; `schema.py` makes them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Protocol, Self

from glb.config.health import DEFAULT_HOLD_SHARE, DEFAULT_POLICY, NO_CHECKS, HealthCheckPolicy, HealthChecks
from glb.config.note import Note
from glb.config.routing import Routing
from glb.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

AGENT_PORT = 19523
"""The TCP port of a proxy's agent: the number of the tunnel's UDP port."""


class State(StrEnum):
    """Which connections a backend gets.

    active: all. filling: as active; marks a new backend. draining: it keeps its connections, new ones go to the next
    hop of the row. inactive: it is in no row.
    """

    FILLING = "filling"
    ACTIVE = "active"
    DRAINING = "draining"
    INACTIVE = "inactive"

    @property
    def takes_new(self) -> bool:
        """Whether new connections may go to a backend in this state."""
        return self in (State.ACTIVE, State.FILLING)


class Proto(StrEnum):
    """A bind's transport protocol."""

    TCP = "tcp"
    UDP = "udp"

    @property
    def number(self) -> int:
        """IANA's protocol number, as in the IP header."""
        return 6 if self is Proto.TCP else 17


@dataclass(frozen=True, slots=True)
class Bind:
    """The packets that belong to a table: network, protocol, inclusive range of destination ports.

    `address` is the network's address as in the file, if it has host bits; they have no effect.
    """

    network: Network
    proto: Proto
    port_start: int
    port_end: int
    address: Address | None = field(default=None, compare=False)

    @classmethod
    def at(cls, place: IPv4Interface | IPv6Interface, proto: Proto, port_start: int, port_end: int) -> Self:
        """The bind of an address with the length of its prefix."""
        has_host_bits = place.ip != place.network.network_address
        return cls(place.network, proto, port_start, port_end, place.ip if has_host_bits else None)

    @property
    def is_exact(self) -> bool:
        """Whether this is a single address with a single port."""
        return self.network.prefixlen == self.network.max_prefixlen and self.port_start == self.port_end

    @property
    def family(self) -> int:
        """The IP version, 4 or 6."""
        return self.network.version

    @property
    def precedence(self) -> tuple[int, int]:
        """Sort key of the binds that match a packet: the first one is chosen, of equals the last in the file.

        The longest prefix comes first, then the narrowest range of ports; so an exact bind precedes all others.
        """
        return -self.network.prefixlen, self.port_end - self.port_start

    def __str__(self) -> str:
        single = self.network.prefixlen == self.network.max_prefixlen
        place = str(self.network.network_address if single else self.network)
        if self.family == 6:
            place = f"[{place}]"
        ports = str(self.port_start)
        if self.port_end != self.port_start:
            ports += f"-{self.port_end}"
        return f"{place}:{ports}/{self.proto}"


@dataclass(frozen=True, slots=True)
class Backend:
    """A proxy that may receive a table's packets.

    `weight` is its share of the rows, relative to the other backends'. `zone` is shared by backends that may fail
    together, such as those of a rack; None: none does. `policy` includes the keys of its table and of the file.
    """

    address: Address
    state: State = State.ACTIVE
    healthy: bool = True
    healthchecks: HealthChecks = NO_CHECKS
    weight: float = 1.0
    zone: str | None = None
    policy: HealthCheckPolicy = DEFAULT_POLICY

    @property
    def available(self) -> bool:
        """Whether new connections may go here."""
        return self.healthy and self.state.takes_new


def default_name(number: int) -> str:
    """The name of a table that has none: one of a GLBD binary, or of a source without the key."""
    return f"table{number}"


@dataclass(frozen=True, slots=True)
class Table:
    """One forwarding table's source: `hash_key` and `seed` are 16 bytes each, `depth` is hops a row.

    If more than `hold_share` of the checked backends fail, newly failed backends stay up.
    """

    name: str
    hash_key: bytes
    seed: bytes
    binds: tuple[Bind, ...]
    backends: tuple[Backend, ...]
    depth: int = 3
    hold_share: float = DEFAULT_HOLD_SHARE

    def vip(self, port: int) -> Address | None:
        """The address of the first bind that is one address with only this TCP port."""
        exact = (bind for bind in self.binds if bind.is_exact and bind.proto is Proto.TCP)
        return next((bind.network.network_address for bind in exact if bind.port_start == port), None)


@dataclass(frozen=True, slots=True)
class ForwardingTables:
    """The content of a table file. `notes` are warnings about keys that have no effect."""

    tables: tuple[Table, ...]
    notes: tuple[Note, ...] = field(default=(), compare=False)

    def require_ipv4_backends(self, name: str) -> None:
        """Raise ConfigError if the datapath cannot reach a backend; `name` is the file's, for the message."""
        require_ipv4_backends(self.tables, name)


NO_TABLES = ForwardingTables(())


class HasBackends(Protocol):
    """A table of a source, or a built one."""

    @property
    def backends(self) -> tuple[Backend, ...]: ...


def require_ipv4_backends(tables: Iterable[HasBackends], name: str) -> None:
    """Raise ConfigError that names each backend with an IPv6 address.

    The format allows such backends, so parsing accepts them; a director that loads the file does not.
    """
    problems = [
        f"{name}: tables[{i}].backends[{j}].ip: {backend.address} is not IPv4; the datapath tunnels over IPv4"
        for i, table in enumerate(tables)
        for j, backend in enumerate(table.backends)
        if backend.address.version != 4
    ]
    if problems:
        raise ConfigError(problems)


@dataclass(frozen=True, slots=True)
class HashFields:
    """The fields of a flow that are hashed. At least one must be true; ValueError if none is."""

    src_addr: bool = True
    dst_addr: bool = False
    src_port: bool = False
    dst_port: bool = False

    def __post_init__(self) -> None:
        if not (self.src_addr or self.dst_addr or self.src_port or self.dst_port):
            raise ValueError("a hash needs at least one field")


class Echo(StrEnum):
    """What the director does with an ICMP echo request to a bound address.

    forward: send it to a proxy. answer: answer it. pass: pass it to this host's stack.
    """

    FORWARD = "forward"
    ANSWER = "answer"
    PASS = "pass"


class Egress(StrEnum):
    """The interface by which a director's packets leave.

    same: the one on which they arrived. fib: the one that the kernel's routes select.
    """

    SAME = "same"
    FIB = "fib"


@dataclass(frozen=True, slots=True)
class Listen:
    """The address and port on which a daemon accepts TCP connections."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The TCP address that Prometheus scrapes, and the networks that may connect; if empty, any may."""

    listen: Listen
    sources: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectorConfig:
    """A director's own configuration.

    `outbound_gateway_mac` is lower case with colons; None: next hops come from the kernel's routes and neighbours.
    `mtu` is that of the path to the proxies, in bytes of IP packet; None: the interface's. `metrics` is the TCP
    listener for Prometheus; None: there is none. `statsd_port` is statsd's on 127.0.0.1; None: nothing is sent. `notes`
    are warnings about keys that have no effect.
    """

    outbound_src_ip: IPv4Address
    outbound_gateway_mac: str | None = None
    icmp_echo: Echo = Echo.PASS
    hash_fields: HashFields = field(default_factory=HashFields)
    alt_hash_fields: HashFields | None = None
    copy_dscp: bool = False
    egress: Egress = Egress.SAME
    mtu: int | None = None
    statsd_port: int | None = None
    routing: Routing | None = None
    metrics: Metrics | None = None
    notes: tuple[Note, ...] = field(default=(), compare=False)

    @property
    def gateway_mac(self) -> bytes | None:
        """The gateway's MAC address, 6 bytes."""
        mac = self.outbound_gateway_mac
        return bytes.fromhex(mac.replace(":", "")) if mac is not None else None


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The listener of a proxy's agent: TCP port, and addresses of this host; if empty, those of its interface."""

    port: int = AGENT_PORT
    listen: tuple[IPv4Address, ...] = ()


ANY_IPV4 = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """A proxy's own configuration.

    `sources` are the networks from which tunnelled packets are accepted, to which they are sent on, and which the agent
    answers. `vips` are the addresses for which packets are accepted from the tunnel; None: glb/proxy/vips.py derives
    them from the host's addresses. `namespaces` are further network namespaces whose sockets receive packets: names
    under /run/netns, or absolute paths. `agent` is None if no agent runs. `metrics` is the TCP listener for Prometheus;
    None: there is none.
    """

    sources: tuple[IPv4Network, ...]
    namespaces: tuple[str, ...] = ()
    metrics: Metrics | None = None
    agent: AgentConfig | None = AgentConfig()
    vips: tuple[Network, ...] | None = None

    @property
    def known_sources(self) -> tuple[IPv4Network, ...]:
        """`sources`; empty if they allow any address: then packets are sent on to the interface's own networks only."""
        return () if ANY_IPV4 in self.sources else self.sources
