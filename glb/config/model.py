# SPDX-License-Identifier: MIT
"""What the JSON files say, as immutable values. `schema.py` turns the files into these, and checks them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from glb.config.health import DEFAULT_HOLD_SHARE, DEFAULT_POLICY, NO_CHECKS, HealthCheckPolicy, HealthChecks
from glb.config.routing import Routing
from glb.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

AGENT_PORT = 19523
"""The TCP port of a proxy's agent: the number of the tunnel's UDP port."""


class State(StrEnum):
    """What a backend may be sent.

    active: everything. filling: as active, while it warms up. draining: its existing connections go on, new
    ones go to the next in the row. inactive: not in the table at all.
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
    """The packets that belong to a table: network, protocol, inclusive range of destination ports."""

    network: Network
    proto: Proto
    port_start: int
    port_end: int

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
        """Of the binds that match a packet the one that sorts first by this is chosen, of equals the first in the file:
        the longest prefix, then the narrowest range of ports. So an exact bind beats all others."""
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

    `weight` is its share of the rows, relative to the other backends'. `zone` is what it may fail together with, such
    as a rack; None: with no other backend. `policy` is what its table's and the whole file's keys make of it.
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


@dataclass(frozen=True, slots=True)
class Table:
    """One forwarding table's source: `hash_key` and `seed` are 16 bytes each, `depth` is hops a row.

    If more than `hold_share` of the checked backends fail, it is not believed.
    """

    name: str
    hash_key: bytes
    seed: bytes
    binds: tuple[Bind, ...]
    backends: tuple[Backend, ...]
    depth: int = 3
    hold_share: float = DEFAULT_HOLD_SHARE

    def vip(self, port: int) -> Address | None:
        """The address of the first bind to one address and this one TCP port."""
        exact = (bind for bind in self.binds if bind.is_exact and bind.proto is Proto.TCP)
        return next((bind.network.network_address for bind in exact if bind.port_start == port), None)


@dataclass(frozen=True, slots=True)
class ForwardingTables:
    """The whole of a forwarding table source."""

    tables: tuple[Table, ...]

    def require_ipv4_backends(self, name: str) -> None:
        """Raise ConfigError if the datapath cannot reach a backend; `name` is the file's, for the message."""
        require_ipv4_backends(self.tables, name)


NO_TABLES = ForwardingTables(())


class HasBackends(Protocol):
    """A table of either kind: a source, or one that is built."""

    @property
    def backends(self) -> tuple[Backend, ...]: ...


def require_ipv4_backends(tables: Iterable[HasBackends], name: str) -> None:
    """Raise ConfigError that names each backend with an IPv6 address.

    The format allows such backends, so this is no fault of the file: it is asked by what loads one to
    forward.
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
    """What becomes of an ICMP echo request to a bound address.

    forward: it goes to a proxy. answer: the director answers it. pass: it goes to this host's stack.
    """

    FORWARD = "forward"
    ANSWER = "answer"
    PASS = "pass"


class Egress(StrEnum):
    """Where a director's packets leave.

    same: by the interface they came in on. fib: where the kernel's routes say.
    """

    SAME = "same"
    FIB = "fib"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a daemon accepts TCP connections."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus scrapes by TCP, and the networks that may connect; none: any."""

    listen: Listen
    sources: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class DirectorConfig:
    """A director's own configuration.

    `outbound_gateway_mac` is lower case with colons; None: next hops come from the kernel's routes and neighbours.
    `mtu` is that of the way to the proxies, in bytes of IP packet; None: the interface's. `metrics` is where
    Prometheus may ask by TCP; None: nowhere. `statsd_port` is where statsd listens on 127.0.0.1; None: it does not.
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

    @property
    def gateway_mac(self) -> bytes | None:
        """The gateway's MAC address, 6 bytes."""
        mac = self.outbound_gateway_mac
        return bytes.fromhex(mac.replace(":", "")) if mac is not None else None


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Where a proxy's agent answers: a TCP port, and this host's addresses; none: those of the proxy's interface."""

    port: int = AGENT_PORT
    listen: tuple[IPv4Address, ...] = ()


ANY_IPV4 = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """A proxy's own configuration.

    `sources` are the networks that tunnelled packets are taken from, that they are sent on to, and that the agent
    answers to. `vips` are the addresses that the
    tunnel leads to; None: what glb/proxy/vips.py makes of the host's addresses.
    `namespaces` are the network namespaces, beside the proxy's own, whose sockets take packets: names under
    /run/netns, or absolute paths. `agent` is None where none is to run. `metrics` is where Prometheus may ask by TCP;
    None: nowhere.
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
