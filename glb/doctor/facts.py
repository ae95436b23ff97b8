# SPDX-License-Identifier: MIT
"""The facts on which the checks are based; gather.py collects them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from glb.config.model import DirectorConfig
from glb.daemon.report import Report
from glb.network.listeners import ListeningSocket
from glb.network.refusal import PathRefusal
from glb.network.return_path import ReturnPath
from glb.network.stack import LocalNetwork, PacketFate


@dataclass(frozen=True, slots=True)
class HostFacts:
    """release: the kernel's, such as (6, 1). jit: whether BPF is compiled; None: unknown."""

    release: tuple[int, int]
    jit: bool | None
    btf: bool
    bpffs: bool


@dataclass(frozen=True, slots=True)
class VethPeer:
    """The other end of a veth pair: its name, and whether an XDP program is on it."""

    name: str
    has_program: bool


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """An interface. program: the number of its XDP program. mode: "xdpdrv", "xdpgeneric" or "xdpoffload". features:
    ethtool's, those that are on. peer: None if it is not a veth."""

    up: bool
    mtu: int
    kind: str
    program: int | None
    mode: str | None
    features: frozenset[str]
    peer: VethPeer | None


@dataclass(frozen=True, slots=True)
class BindPorts:
    """The ports of a bind: protocol ("tcp" or "udp"), first and last."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}{f'-{self.last}' if self.last != self.first else ''}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class VipFacts:
    """A VIP of a proxy, or a network of them, and what this host's stack does with packets to it and from it.

    is_configured: a table or proxy.conf names it; otherwise it is a local address that the daemon treats as a VIP.
    is_reached: whether the daemon accepts tunnelled packets for it. local: the address or route that makes it local in
    `namespace` ("" for the proxy's own), None if there is none. fates: the kernel's decision for packets from some
    clients, one for each. ports: those that need a listener, empty if unknown.
    """

    network: IPv4Network | IPv6Network
    is_configured: bool
    is_reached: bool = True
    namespace: str = ""
    local: LocalNetwork | None = None
    fates: tuple[PacketFate, ...] = ()
    paths: tuple[ReturnPath, ...] = ()
    listeners: tuple[ListeningSocket, ...] = ()
    ports: tuple[BindPorts, ...] = ()

    def __str__(self) -> str:
        alone = self.network.prefixlen == self.network.max_prefixlen
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.network.network_address if alone else self.network}{where}"


@dataclass(frozen=True, slots=True)
class SizeFacts:
    """Echoes through the tunnel to a backend: whether a small one was answered, and one of `size` bytes.

    size: of the outer packet; the largest that the director sends there.
    """

    size: int
    small: bool
    full: bool


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """What a director's daemon reports of its announcements, as GET /v1/routing."""

    speaker: str
    draining: bool
    announced: tuple[str, ...]
    last_resort: tuple[str, ...]
    not_carried: tuple[str, ...]
    sessions: tuple[tuple[str, str], ...]
    """Peer and state of each."""
    fault: str | None


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """A daemon, its interface (None: it does not exist), and its environment.

    pinned: the number of the program that is pinned for it. attached_role: the role of the attached program, None if it
    is not one of glb. capture_attached: whether the attached program is a capture program. current: whether its files
    are as they were loaded; None if they cannot be read. sysctls: under net.ipv4.conf, the stricter of `all` and the
    interface's where the kernel uses the stricter. local: addresses and networks that are local to this host.
    next_hops: why a backend has none; None: it is known. sizes: the packets that arrive at each backend with a next
    hop; a text: why that was not tested. probed: the number of test packets. deviations: differences between the
    program and the tables. stopped: whether the process is suspended. silent: why a director's control socket does not
    respond. vips: those of a proxy.
    """

    report: Report
    alive: bool
    link: LinkFacts | None
    pinned: int | None
    current: bool | None
    sysctls: Mapping[str, int]
    local: tuple[LocalNetwork, ...]
    config: DirectorConfig | None = None
    next_hops: Mapping[str, PathRefusal | None] = field(default_factory=dict)
    sizes: Mapping[str, SizeFacts] | str = field(default_factory=dict)
    stopped: bool = False
    silent: str | None = None
    routing: RoutingFacts | None = None
    vips: tuple[VipFacts, ...] = ()
    capture_attached: bool = False
    attached_role: str | None = None
    probed: int = 0
    deviations: tuple[str, ...] = ()
