# SPDX-License-Identifier: MIT
"""Which local addresses a proxy takes for VIPs."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from glb.config.parse import parse_proxy
from glb.errors import ConfigError
from glb.network.local import Local, LocalAddress
from glb.proxy.vips import connected_networks, judge_places

ETH0, LO, OTHER = 2, 1, 3


def local(*addresses: tuple[str, int, str], prefixes: tuple[str, ...] = (), sending: tuple[str, ...] = ()) -> Local:
    return Local(
        frozenset(LocalAddress(ip_interface(text), index, kind, False) for text, index, kind in addresses),
        frozenset(ip_network(prefix) for prefix in prefixes),
        frozenset(ip_address(address) for address in sending),
    )


HOST = (
    ("127.0.0.1/8", LO, "loopback"),
    ("::1/128", LO, "loopback"),
    ("10.0.0.11/24", ETH0, ""),
    ("fe80::1/64", ETH0, ""),
)


def vips(here: Local, *others: Local, configured: tuple[str, ...] | None = None) -> set[str]:
    networks = None if configured is None else tuple(ip_network(text) for text in configured)
    return {str(place) for place, is_vip in judge_places(here, others, networks).items() if is_vip}


@pytest.mark.parametrize(
    ("address", "kind", "expected"),
    [
        ("203.0.113.10/32", "loopback", {"203.0.113.10/32"}),
        ("2001:db8:f::10/128", "loopback", {"2001:db8:f::10/128"}),
        ("203.0.113.0/24", "loopback", {"203.0.113.0/24"}),
        ("2001:db8:f::10/64", "loopback", set()),
        ("203.0.113.10/32", "dummy", {"203.0.113.10/32"}),
        ("203.0.113.10/32", "ipip", {"203.0.113.10/32"}),
        ("2001:db8:f::10/128", "sit", {"2001:db8:f::10/128"}),
        ("203.0.113.10/24", "dummy", set()),
        ("203.0.113.10/32", "", set()),
        ("192.0.2.9/32", "veth", set()),
        ("169.254.7.7/32", "loopback", set()),
        ("127.9.9.9/32", "loopback", set()),
    ],
)
def test_addresses_that_the_host_holds_for_clients_are_vips(address: str, kind: str, expected: set[str]) -> None:
    assert vips(local(*HOST, (address, OTHER, kind))) == expected


def test_prefixes_of_local_routes_are_vips_unless_used() -> None:
    here = local(*HOST, prefixes=("203.0.113.0/24", "10.0.0.0/8", "2001:db8:f::/64"))
    places = judge_places(here, (), None)
    assert {str(place) for place, is_vip in places.items() if is_vip} == {
        "203.0.113.0/24",
        "10.0.0.0/8",
        "2001:db8:f::/64",
    }
    assert places[ip_network("10.0.0.11")] is False


def test_an_address_that_the_host_sends_from_is_no_vip() -> None:
    here = local(*HOST, ("10.255.0.1/32", LO, "loopback"), ("203.0.113.10/32", LO, "loopback"), sending=("10.255.0.1",))
    assert vips(here) == {"203.0.113.10/32"}
    assert judge_places(here, (), None)[ip_network("10.255.0.1")] is False


def test_vips_of_other_namespaces_count() -> None:
    other = local(("203.0.113.11/32", LO, "loopback"), ("10.1.0.2/24", ETH0, ""))
    assert vips(local(*HOST), other) == {"203.0.113.11/32"}


def test_a_configured_list_replaces_the_found_vips() -> None:
    here = local(*HOST, ("203.0.113.10/32", LO, "loopback"), ("203.0.113.99/32", LO, "loopback"))
    places = judge_places(here, (), (ip_network("203.0.113.0/28"), ip_network("10.0.0.0/24")))
    assert {str(place) for place, is_vip in places.items() if is_vip} == {"203.0.113.0/28", "10.0.0.0/24"}
    assert places[ip_network("203.0.113.99")] is False
    assert places[ip_network("10.0.0.11")] is False, "the tunnel's own address is within the list's network"
    assert ip_network("203.0.113.10") not in places, "the network decides"


def test_the_work_does_not_grow_with_the_square_of_the_addresses() -> None:
    many = [(str(ip_address("203.0.0.0") + number) + "/32", LO, "loopback") for number in range(8192)]
    configured = tuple(address for address, _, _ in many[::2])
    assert len(vips(local(*HOST, *many), configured=configured)) == 4096


def test_the_networks_of_an_interface() -> None:
    here = local(*HOST, ("192.0.2.9/32", ETH0, ""), ("10.9.0.1/16", OTHER, ""))
    assert connected_networks(here, ETH0) == [ip_network("10.0.0.0/24")]


def test_vips_in_proxy_conf() -> None:
    config = parse_proxy('{"sources": ["10.0.0.0/24"], "vips": ["203.0.113.10", "2001:db8:f::/64"]}', "proxy.conf")
    assert config.vips == (ip_network("203.0.113.10"), ip_network("2001:db8:f::/64"))
    assert parse_proxy('{"sources": ["10.0.0.0/24"]}', "proxy.conf").vips is None


@pytest.mark.parametrize("vip", ["127.0.0.1", "::1", "224.0.0.1", "fe80::1", "0.0.0.0/0", "203.0.113.10/24", "web", 7])
def test_invalid_vips_are_refused_by_field(vip: object) -> None:
    text = '{"vips": ["203.0.113.10", %s]}' % (vip if isinstance(vip, int) else f'"{vip}"')
    with pytest.raises(ConfigError, match=r"proxy.conf: vips\[1\]: "):
        parse_proxy(text, "proxy.conf")
