# SPDX-License-Identifier: MIT
"""The lab's routing mode: the BGP settings of the router and the directors, and their files. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from glb.lab.hosts import ROUTER, IPAddress, LabHost

ROUTER_AS = 65000
DIRECTORS_AS = 65001
PASSWORD = "glb-lab"
BFD_INTERVAL_MS = 200
BFD_MULTIPLIER = 3


class LabSpeaker(StrEnum):
    """The BGP speaker of the directors."""

    BIRD = "bird"
    EXABGP = "exabgp"


class LabRouter(StrEnum):
    """The BGP daemon of the router."""

    BIRD = "bird"
    FRR = "frr"


@dataclass(frozen=True, slots=True)
class LabRouting:
    """Directors that announce the VIPs themselves. `hold_time` is in seconds, and applies if BFD is off."""

    speaker: LabSpeaker = LabSpeaker.BIRD
    router: LabRouter = LabRouter.BIRD
    bfd: bool = True
    hold_time: int = 9


def director_key(director: LabHost, routing: LabRouting) -> dict[str, Any]:
    """The key `routing` of a director's configuration, with one session for each address family."""
    return {
        "speaker": str(routing.speaker),
        "local_as": DIRECTORS_AS,
        "hold_time": routing.hold_time,
        "bfd_interval_ms": BFD_INTERVAL_MS,
        "bfd_multiplier": BFD_MULTIPLIER,
        "peers": [
            {"address": str(address.ip), "as": ROUTER_AS, "password": PASSWORD, "bfd": routing.bfd}
            for address in ROUTER.addresses
        ],
        "communities": [f"{DIRECTORS_AS}:100"],
    }


def sessions(directors: Sequence[LabHost]) -> Iterator[tuple[str, IPAddress]]:
    """The router's sessions: a name, and the director's address."""
    for director in directors:
        for address in director.addresses:
            yield f"{director.name}_{address.version}", address.ip


def bird(directors: Sequence[LabHost], routing: LabRouting, log: str) -> str:
    """The router's configuration of BIRD: multipath, graceful shutdown as the last choice, persistent routes."""
    kernels = "".join(
        f"""
protocol kernel kernel{family} {{
	ipv{family} {{ import none; export where source = RTS_BGP; }};
	merge paths on limit 64;
	persist;
	graceful restart on;
}}
"""
        for family in (4, 6)
    )
    neighbours = "".join(
        f"""
protocol bgp {name} {{
	local as {ROUTER_AS};
	neighbor {address} as {DIRECTORS_AS};
	direct;
	password "{PASSWORD}";
	hold time {routing.hold_time};
	bfd {"on" if routing.bfd else "off"};
	graceful restart on;
	connect delay time 1;
	connect retry time 5;
	error wait time 1, 5;
	ipv{address.version} {{ import filter from_director; export none; }};
}}
"""
        for name, address in sessions(directors)
    )
    return f"""log "{log}" all;
router id {ROUTER.ipv4.ip if ROUTER.ipv4 else ""};
graceful restart wait 10;

protocol device {{
}}

protocol bfd {{
	interface "*" {{ interval {BFD_INTERVAL_MS} ms; multiplier {BFD_MULTIPLIER}; }};
}}

filter from_director {{
	if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
	accept;
}}
{kernels}{neighbours}"""


def frr(directors: Sequence[LabHost], routing: LabRouting) -> str:
    """The same of FRR, for its daemons zebra, bgpd and bfdd."""
    neighbours = list(sessions(directors))
    lines = [
        "frr defaults datacenter",
        "hostname router",
        "bgp community-list standard leaving permit graceful-shutdown",
        "route-map learn permit 10",
        " match community leaving",
        " set local-preference 0",
        " set ipv6 next-hop prefer-global",
        "route-map learn permit 20",
        " set ipv6 next-hop prefer-global",
        f"router bgp {ROUTER_AS}",
        f" bgp router-id {ROUTER.ipv4.ip if ROUTER.ipv4 else ''}",
        " bgp graceful-restart",
        " bgp graceful-restart preserve-fw-state",
        f" timers bgp {max(routing.hold_time // 3, 1)} {routing.hold_time}",
        " no bgp default ipv4-unicast",
    ]
    for _, address in neighbours:
        lines += [
            f" neighbor {address} remote-as {DIRECTORS_AS}",
            f" neighbor {address} password {PASSWORD}",
            f" neighbor {address} timers connect 5",
            *([f" neighbor {address} bfd {BFD_MULTIPLIER} {BFD_INTERVAL_MS} {BFD_INTERVAL_MS}"] if routing.bfd else []),
        ]
    for family in (4, 6):
        lines += [f" address-family ipv{family} unicast", "  maximum-paths 64"]
        for _, address in neighbours:
            if address.version == family:
                lines += [f"  neighbor {address} activate", f"  neighbor {address} route-map learn in"]
        lines += [" exit-address-family"]
    return "\n".join([*lines, ""])
