# SPDX-License-Identifier: MIT
"""The VIPs that a proxy's daemon finds on its host, in a network namespace of the test."""

from ipaddress import IPv4Network

from pyroute2 import IPRoute

from glb.config.model import ProxyConfig
from glb.proxy.vip_reader import VipReader
from tests.own_network import add_addresses, own_network

SETTINGS = ProxyConfig(sources=(IPv4Network("10.0.0.0/24"),))


def test_changes_of_addresses_and_local_routes_are_followed() -> None:
    with own_network("203.0.113.10", "2001:db8:f::10"), IPRoute() as ip:
        reader = VipReader()
        reader.read(SETTINGS)
        assert reader.vips == ("203.0.113.10", "2001:db8:f::10")

        [lo] = ip.link_lookup(ifname="lo")
        add_addresses("lo", ["203.0.113.11"])
        ip.route("add", dst="198.51.100.0/24", type="local", oif=lo, table=255, scope=254)
        reader.read(SETTINGS)
        assert reader.vips == ("198.51.100.0/24", "203.0.113.10", "203.0.113.11", "2001:db8:f::10")

        ip.addr("del", index=lo, address="203.0.113.10", prefixlen=32)
        reader.read(SETTINGS)
        assert reader.vips == ("198.51.100.0/24", "203.0.113.11", "2001:db8:f::10")


def test_addresses_that_the_host_uses_are_no_vips() -> None:
    with own_network("203.0.113.10", "10.255.0.1"), IPRoute() as ip:
        ip.link("add", kind="veth", ifname="near", peer={"ifname": "far"})
        indices = [ip.link_lookup(ifname=name)[0] for name in ("near", "far")]
        for index in indices:
            ip.link("set", index=index, state="up")
        ip.addr("add", index=indices[0], address="10.0.0.11", prefixlen=24)
        ip.addr("add", index=indices[0], address="203.0.113.99", prefixlen=32)
        ip.route("add", dst="0.0.0.0/0", gateway="10.0.0.1", prefsrc="10.255.0.1")
        reader = VipReader()
        reader.read(SETTINGS)
        assert reader.vips == ("203.0.113.10",)
        own = {str(place.network_address) for place, is_vip in reader.places.items() if not is_vip}
        assert {"10.0.0.11", "10.255.0.1", "203.0.113.99"} <= own
