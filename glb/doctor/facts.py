"""The facts that the checks judge; gather.py finds them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from glb.config.model import DirectorConfig
from glb.daemon.report import Report
from glb.network.refusal import Refusal


@dataclass(frozen=True, slots=True)
class HostFacts:
    """release: the kernel's, such as (6, 1). jit: whether BPF is compiled; None: the kernel does not say."""

    release: tuple[int, int]
    jit: bool | None
    btf: bool
    bpffs: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a veth pair: its name, and whether an XDP program is on it."""

    name: str
    has_program: bool


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """An interface. program: the number of its XDP program. mode: "xdpdrv", "xdpgeneric" or "xdpoffload". features:
    ethtool's, those that are on. peer: None if it is no veth."""

    up: bool
    mtu: int
    kind: str
    program: int | None
    mode: str | None
    features: frozenset[str]
    peer: Peer | None


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """A daemon, its interface (None: it is gone), and what there is around it.

    pinned: the number of the program that is pinned for it. twin: whether what is attached is that program's twin,
    which a capture puts in its place. current: whether its files are as they were loaded; None if
    they cannot be read. sysctls: under net.ipv4.conf, the stricter of `all` and the interface's where the kernel takes
    the stricter. addresses: this host's. next_hops: why there is none to a backend; None: it is known. probed: what the
    program did otherwise than the tables say.
    """

    report: Report
    alive: bool
    link: LinkFacts | None
    pinned: int | None
    current: bool | None
    sysctls: Mapping[str, int]
    addresses: frozenset[IPv4Address | IPv6Address]
    loopback: frozenset[IPv4Address | IPv6Address]
    config: DirectorConfig | None = None
    next_hops: Mapping[str, Refusal | None] = field(default_factory=dict)
    twin: bool = False
    probed: int = 0
    deviations: tuple[str, ...] = ()
