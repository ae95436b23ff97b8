# SPDX-License-Identifier: MIT
"""Links, addresses and routes as glb reads them, against pyroute2's reading of the same kernel."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from pyroute2 import IPRoute

from glb.network.messages import FAMILIES, addresses, links, route_to, routes
from glb.network.rtnetlink import open_rtnetlink
from tests.own_network import own_network


@pytest.fixture(scope="module")
def kernel() -> Iterator[IPRoute]:
    """A network namespace with what glb has to understand: a bridge with a port, a peer, AnyIP, IPv6 routers."""
    with own_network("203.0.113.10", "2001:db8:f::10"), IPRoute() as ip:
        ip.link("set", index=1, state="up")
        ip.link("add", ifname="near", kind="veth", peer="far", address="02:00:00:00:00:51")
        ip.link("add", ifname="bridge", kind="bridge")
        ip.link("add", ifname="vip", kind="bridge", mtu=1400)
        index = {link.get("ifname"): link["index"] for link in ip.get_links()}
        ip.link("set", index=index["far"], master=index["bridge"])
        for name in ("near", "far", "bridge", "vip"):
            ip.link("set", index=index[name], state="up")
        ip.addr("add", index=index["near"], address="10.0.0.1", prefixlen=24, broadcast="10.0.0.255")
        ip.addr("add", index=index["near"], address="10.0.0.2", prefixlen=24)
        ip.addr("add", index=index["near"], local="10.1.0.1", address="10.1.0.2", prefixlen=32)
        ip.addr("add", index=index["vip"], address="2001:db8::77", prefixlen=64)
        ip.route("add", dst="198.18.0.0/15", gateway="10.0.0.254", prefsrc="10.0.0.2", metrics={"mtu": 1300})
        ip.route("add", dst="198.51.100.0/24", via={"family": 10, "addr": "2001:db8::1"}, oif=index["vip"])
        ip.route(
            "add",
            dst="192.168.0.0/16",
            multipath=[{"gateway": "10.0.0.253", "hops": 0}, {"gateway": "10.0.0.254", "hops": 0}],
        )
        ip.route("add", dst="203.0.113.128/25", type="local", scope="host", table=255, oif=1)
        ip.route("add", dst="172.16.0.0/12", type="unreachable")
        ip.route("add", family=10, dst="default", gateway="2001:db8::1")
        yield ip


def test_links_agree_with_pyroute2(kernel: IPRoute) -> None:
    with open_rtnetlink() as netlink:
        found = links(netlink)
    expected = {link["index"]: link for link in kernel.get_links()}
    assert found.keys() == expected.keys()
    for index, link in found.items():
        other = expected[index]
        assert (link.name, link.flags, link.mtu) == (other.get("ifname"), other["flags"], other.get("mtu"))
        assert link.mac.hex(":") == other.get("address")
        assert (link.master or None, link.lower or None) == (other.get("master"), other.get("link"))
        assert link.kind == (other.get_nested("linkinfo", "kind") or "")
    assert {link.kind for link in found.values()} >= {"veth", "bridge"}


def test_addresses_agree_with_pyroute2(kernel: IPRoute) -> None:
    with open_rtnetlink() as netlink:
        found = {(entry.index, str(entry.address), str(entry.far), entry.prefixlen) for entry in addresses(netlink)}
    expected = {
        (entry["index"], entry.get("local") or entry.get("address"), entry.get("address"), entry["prefixlen"])
        for entry in kernel.get_addr()
    }
    assert found == expected
    assert any(address != far for _, address, far, _ in found), "one with a peer"


@pytest.mark.parametrize("version", FAMILIES)
def test_routes_agree_with_pyroute2(kernel: IPRoute, version: int) -> None:
    with open_rtnetlink(strict=True) as netlink:
        found = sorted(map(repr, routes(netlink, version)))
        local = list(routes(netlink, version, table=255))
    expected = list(kernel.route("dump", family=FAMILIES[version]))
    with open_rtnetlink() as netlink:
        fields = sorted(
            (str(r.network), r.type, r.protocol, r.interface, str(r.router), str(r.source), r.mtu, r.has_routers)
            for r in routes(netlink, version)
        )
    assert fields == sorted(_fields(route, version) for route in expected)
    assert len(found) == len(expected)
    assert len(local) == sum(route.get("table") == 255 for route in expected)


def test_a_lookup_names_router_source_and_mtu(kernel: IPRoute) -> None:
    with open_rtnetlink() as netlink:
        route = route_to(netlink, IPv4Address("198.18.0.1"))
        by_ipv6 = route_to(netlink, IPv4Address("198.51.100.1"))
        with pytest.raises(OSError, match="No route to host"):
            route_to(netlink, IPv4Address("172.16.0.1"))
    assert (route.router, route.source, route.mtu) == (IPv4Address("10.0.0.254"), IPv4Address("10.0.0.2"), 1300)
    assert by_ipv6.router == IPv6Address("2001:db8::1")


def _fields(route: Any, version: int) -> tuple[Any, ...]:
    default = "0.0.0.0" if version == 4 else "::"
    via = route.get("via")
    router = via["addr"] if via else route.get("gateway")
    return (
        str(ip_network((route.get("dst") or default, route["dst_len"]))),
        route["type"],
        route["proto"],
        route.get("oif") or 0,
        str(ip_address(router)) if router else "None",
        str(route.get("prefsrc")),
        route.get_nested("metrics", "RTAX_MTU"),
        router is not None or route.get("multipath") is not None,
    )
