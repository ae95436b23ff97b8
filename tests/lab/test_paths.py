# SPDX-License-Identifier: MIT
"""Every kind of route leads to a MAC or to a named refusal, and no neighbour entry that glb does not own is changed.

Two network namespaces and a pair of interfaces: `near`, which looks, and `far`, which answers ARP for some addresses.
"""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address, ip_address, ip_network
from typing import TypeVar

import pytest

from glb.lab import links, netns
from glb.lab.process import argv_in
from glb.network.interface import find_interface
from glb.network.namespaces import within
from glb.network.next_hops import Paths, resolve, resolve_gateway
from glb.network.unused import unused_addresses
from tests.conftest import unique_name
from tests.lab.helpers.packets import wait_for

MTU = 1500
FAR_MAC = "02:00:00:00:00:fe"
SET_MAC = "02:00:00:00:00:05"
HOST = IPv4Address("10.50.0.1")
SOURCE = IPv4Address("10.9.0.1")
WAIT_S = 5.0

T = TypeVar("T")


class Pair:
    """The two namespaces. far's address is 10.9.0.254, and fe80::fe."""

    def __init__(self, name: str) -> None:
        self.near, self.far = f"{name}-near", f"{name}-far"

    def ip(self, *commands: str) -> None:
        """Run `ip` in `near`."""
        for words in commands:
            subprocess.run(argv_in(self.near, ["ip", *words.split()]), check=True)

    def run(self, action: Callable[[], T]) -> T:
        return within(self.near, action)

    def resolve(self, host: IPv4Address = HOST, wait: float = 0, **options: object) -> Paths:
        return self.run(lambda: resolve(find_interface("near"), [host], wait, SOURCE, **options))  # type: ignore[arg-type]

    def entry(self, address: str) -> str:
        """What `ip neigh` shows of a neighbour."""
        show = argv_in(self.near, ["ip", "neigh", "show", "to", address, "dev", "near", "nud", "all"])
        return subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair(unique_name())
    try:
        netns.create(pair.near)
        netns.create(pair.far)
        links.set_up(pair.near, "lo")
        links.add_veth(pair.near, "near", "02:00:00:00:00:01", MTU, peer_namespace=pair.far, peer="far")
        pair.ip(
            "address add 10.9.0.1/24 dev near",
            "address add fe80::1/64 dev near nodad",
            "link add other type veth peer name nowhere",
            "link set other up",
            "link set nowhere up",
            "address add 10.10.0.1/24 dev other",
        )
        for words in (
            f"link set far address {FAR_MAC}",
            "address add 10.9.0.254/24 dev far",
            "address add 10.11.0.254/24 dev far",
            "address add fe80::fe/64 dev far nodad",
        ):
            subprocess.run(argv_in(pair.far, ["ip", *words.split()]), check=True)
        yield pair
    finally:
        netns.remove(pair.near)
        netns.remove(pair.far)


@pytest.fixture(autouse=True)
def _clean(pair: Pair) -> Iterator[None]:
    yield
    run = partial(subprocess.run, check=False, stderr=subprocess.DEVNULL)
    for words in (
        "route flush table all root 10.50.0.0/16",
        "route flush table 77",
        "rule del table 77",
        "nexthop flush",
        "neigh flush dev near nud all",
        "link del red",
    ):
        run(argv_in(pair.near, ["ip", *words.split()]))


ROUTES = {
    "by a router": ["route add 10.50.0.0/24 via 10.9.0.254"],
    "by a router of IPv6": ["route add 10.50.0.0/24 via inet6 fe80::fe dev near"],
    "on link": ["route add 10.50.0.0/24 via 10.11.0.254 dev near onlink"],
    "of a nexthop object": ["nexthop add id 7 via 10.9.0.254 dev near", "route add 10.50.0.0/24 nhid 7"],
    "of a nexthop object of IPv6": ["nexthop add id 7 via fe80::fe dev near", "route add 10.50.0.0/24 nhid 7"],
    "of a nexthop group": [
        "nexthop add id 7 via 10.9.0.254 dev near",
        "nexthop add id 8 via fe80::fe dev near",
        "nexthop add id 9 group 7/8",
        "route add 10.50.0.0/24 nhid 9",
    ],
    "by two routers of which one is dead": [
        "route add 10.50.0.0/24 nexthop via 10.9.0.99 dev near nexthop via 10.9.0.254 dev near"
    ],
    "by two interfaces": [
        "route add 10.50.0.0/24 nexthop via 10.10.0.9 dev other weight 200 nexthop via 10.9.0.254 dev near"
    ],
    "of a table that a rule names by source": [
        f"rule add from {SOURCE} lookup 77",
        "route add 10.50.0.0/24 via 10.9.0.254 table 77",
    ],
    "of a table that a rule names by the tunnel's port": [
        "rule add ipproto udp dport 19523 lookup 77",
        "route add 10.50.0.0/24 via 10.9.0.254 table 77",
    ],
    "behind a throw route": [
        "rule add pref 100 lookup 77",
        "route add throw 10.50.0.0/24 table 77",
        "route add 10.50.0.0/24 via 10.9.0.254",
    ],
}


@pytest.mark.parametrize("commands", ROUTES.values(), ids=ROUTES.keys())
def test_a_route_leads_to_the_mac_of_its_next_hop(pair: Pair, commands: list[str]) -> None:
    pair.ip(*commands)

    paths = pair.resolve(wait=WAIT_S)

    assert (paths.macs, paths.refusals) == ({HOST: bytes.fromhex(FAR_MAC.replace(":", ""))}, {})


REFUSALS = {
    "none": ([], "no route"),
    "blackhole": (["route add blackhole 10.50.0.0/24"], "a blackhole route"),
    "blackhole nexthop": (["nexthop add id 7 blackhole", "route add 10.50.0.0/24 nhid 7"], "a blackhole route"),
    "unreachable": (["route add unreachable 10.50.0.0/24"], "an unreachable route"),
    "prohibit": (["route add prohibit 10.50.0.0/24"], "a prohibit route or rule"),
    "prohibit rule": (["rule add to 10.50.0.0/24 prohibit table 77"], "a prohibit route or rule"),
    "throw": (["route add throw 10.50.0.0/24"], "no route"),
    "local": (["route add local 10.50.0.0/24 dev lo"], "an address of this host"),
    "broadcast": (["route add broadcast 10.50.0.1/32 dev near"], "a broadcast or multicast address"),
    "encapsulating": (
        ["route add 10.50.0.0/24 encap ip id 3 dst 10.9.0.254 dev near"],
        "a route that encapsulates (ip)",
    ),
    "another interface": (
        ["route add 10.50.0.0/24 via 10.10.0.9"],
        "the route leaves by another interface (other)",
    ),
    "no neighbour": (
        ["route add 10.50.0.0/24 via 10.9.0.99"],
        "the next hop does not answer ARP or neighbour discovery (10.9.0.99 on near)",
    ),
    "no neighbour of IPv6": (
        ["route add 10.50.0.0/24 via inet6 fe80::99 dev near"],
        "the next hop does not answer ARP or neighbour discovery (fe80::99 on near)",
    ),
    "one's own source only": (
        ["rule add from 10.9.0.7 lookup 77", "route add 10.50.0.0/24 via 10.9.0.254 table 77"],
        "no route",
    ),
}


@pytest.mark.parametrize(("commands", "refusal"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_route_that_leads_to_no_mac_is_refused_by_name(pair: Pair, commands: list[str], refusal: str) -> None:
    if refusal.startswith("a prohibit") and "rule" in commands[0]:
        commands = ["rule add pref 50 to 10.50.0.0/24 prohibit"]
    pair.ip(*commands)
    try:
        paths = pair.resolve()
    finally:
        subprocess.run(argv_in(pair.near, ["ip", "rule", "del", "pref", "50"]), check=False, stderr=subprocess.DEVNULL)

    assert paths.macs == {}
    assert {str(found) for found in paths.refusals.values()} == {refusal}


def test_a_point_to_point_device_has_no_mac(pair: Pair) -> None:
    pair.ip("tuntap add red mode tun", "link set red up", "route add 10.50.0.0/24 dev red")

    paths = pair.resolve(any_interface=True)

    assert str(paths.refusals[HOST]) == "the next hop has no MAC address (red is no Ethernet interface)"


def test_in_a_vrf_the_vrfs_routes_count(pair: Pair) -> None:
    made = subprocess.run(argv_in(pair.near, ["ip", "link", "add", "red", "type", "vrf", "table", "77"]), check=False)
    if made.returncode:
        pytest.skip("this kernel has no VRFs")
    pair.ip(
        "link set red up",
        "link set near master red",
        "route add 10.50.0.0/24 via 10.9.0.254 table 77",
        "route add default via 10.9.0.254 table 77",
    )
    try:
        assert pair.resolve(wait=WAIT_S).macs == {HOST: bytes.fromhex(FAR_MAC.replace(":", ""))}
        assert pair.run(lambda: resolve_gateway(find_interface("near"), WAIT_S)) is not None
    finally:
        pair.ip("link set near nomaster")


@pytest.mark.parametrize("route", ["via 10.9.0.254", "via inet6 fe80::fe dev near"])
def test_a_default_router_of_either_family_is_found(pair: Pair, route: str) -> None:
    pair.ip(f"route add 0.0.0.0/0 {route}")
    try:
        found = pair.run(lambda: resolve_gateway(find_interface("near"), WAIT_S))
    finally:
        pair.ip(f"route del 0.0.0.0/0 {route}")

    assert found == bytes.fromhex(FAR_MAC.replace(":", ""))


@pytest.mark.parametrize("state", ["permanent", "noarp", "reachable extern_learn", "stale extern_learn", "stale"])
@pytest.mark.parametrize("router", ["10.9.0.5", "fe80::5"])
def test_entry_set_by_the_administrator_is_used_unchanged(pair: Pair, state: str, router: str) -> None:
    """`router` answers nobody: whatever makes the kernel resolve it anew, loses it."""
    family = "inet6 " if ":" in router else ""
    pair.ip(
        f"neigh replace {router} lladdr {SET_MAC} dev near nud {state}",
        f"route add 10.50.0.0/24 via {family}{router} dev near",
    )
    learned = "extern_learn" in pair.entry(router)

    for _ in range(3):
        paths = pair.resolve()

    assert paths.macs == {HOST: bytes.fromhex(SET_MAC.replace(":", ""))}
    after = pair.entry(router)
    assert SET_MAC in after
    assert ("extern_learn" in after) == learned
    if state in ("permanent", "noarp"):
        assert state.upper() in after


def test_a_next_hop_that_has_failed_is_found_once_it_answers(pair: Pair) -> None:
    late = ["ip", "address", "add", "10.9.0.77/24", "dev", "far"]
    pair.ip("route add 10.50.0.0/24 via 10.9.0.77")
    assert pair.resolve().macs == {}
    wait_for(lambda: "FAILED" in pair.entry("10.9.0.77"), "the kernel gives the next hop up")

    subprocess.run(argv_in(pair.far, late), check=True)

    wait_for(lambda: pair.resolve().macs, "the next hop is tried again")


def test_a_stale_next_hop_is_confirmed(pair: Pair) -> None:
    pair.ip("route add 10.50.0.0/24 via 10.9.0.254")
    pair.resolve(wait=WAIT_S)
    pair.ip(f"neigh replace 10.9.0.254 lladdr {FAR_MAC} dev near nud stale")

    assert pair.resolve().macs
    wait_for(lambda: "REACHABLE" in pair.entry("10.9.0.254"), "the kernel confirms the next hop")


@pytest.mark.parametrize(
    ("route", "mtus"),
    [
        ("via 10.9.0.254 mtu lock 1400", {HOST: 1400}),
        ("via 10.9.0.254 mtu 1300", {HOST: 1300}),
        ("via 10.9.0.254", {}),
        ("via 10.9.0.254 mtu 9000", {}),
    ],
)
def test_a_routes_mtu_limits_the_path(pair: Pair, route: str, mtus: dict[IPv4Address, int]) -> None:
    pair.ip(f"route add 10.50.0.0/24 {route}")

    assert pair.resolve().mtus == mtus


def test_a_probes_address_is_neither_the_hosts_nor_a_vips(pair: Pair) -> None:
    """Not those that an AnyIP route makes local, either."""
    pair.ip(
        "address add 192.0.2.1/32 dev lo",
        "route add local 192.0.2.2/31 dev lo",
        "address add 2001:db8::1/128 dev lo",
    )
    vips = [ip_network("192.0.2.4/30")]

    found = pair.run(lambda: unused_addresses(4, 2, vips) + unused_addresses(6, 1))

    assert found == [ip_address("192.0.2.8"), ip_address("192.0.2.9"), ip_address("2001:db8::2")]


def test_if_all_addresses_are_vips_a_probe_takes_one_of_them(pair: Pair) -> None:
    everything = [ip_network("0.0.0.0/0")]

    assert len(pair.run(lambda: unused_addresses(4, 8, everything))) == 8
