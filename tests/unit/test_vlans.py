# SPDX-License-Identifier: MIT
"""The tags that a VLAN device puts on a frame, read from messages that pyroute2 encodes."""

from typing import Any

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from glb.network.messages import Link, read_link
from glb.network.vlans import Vlan, below

_NETLINK_HEADER = 16  # struct nlmsghdr, which pyroute2 encodes too


def link(index: int, **attributes: Any) -> Link:
    vlan = attributes.pop("vlan", None)
    attrs = [[f"IFLA_{name.upper()}", value] for name, value in attributes.items()]
    if vlan is not None:
        protocol, identifier = vlan
        data = {"attrs": [["IFLA_VLAN_ID", identifier], ["IFLA_VLAN_PROTOCOL", protocol]]}
        attrs.append(["IFLA_LINKINFO", {"attrs": [["IFLA_INFO_KIND", "vlan"], ["IFLA_INFO_DATA", data]]}])
    message = ifinfmsg()
    message["index"] = index
    message["attrs"] = attrs
    message.encode()
    return read_link(bytes(message.data)[_NETLINK_HEADER:])


LINKS = {
    one.index: one
    for one in (
        link(2, ifname="eth0", mtu=1500),
        link(3, ifname="eth0.5", link=2, vlan=(0x8100, 5)),
        link(4, ifname="eth0.5.6", link=3, vlan=(0x8100, 6)),
        link(5, ifname="eth0.5.6.7", link=4, vlan=(0x8100, 7)),
        link(6, ifname="service", link=2, vlan=(0x88A8, 9)),
        link(7, ifname="moved", link=2, link_netnsid=0, vlan=(0x8100, 5)),
        link(8, ifname="orphan", link=77, vlan=(0x8100, 5)),
    )
}


def test_an_interface_that_is_no_vlan_device_has_no_tags() -> None:
    assert below(2, LINKS) == Vlan(2, ())


def test_a_vlan_device_has_its_tag_and_the_interface_below_it() -> None:
    assert below(3, LINKS) == Vlan(2, ((0x8100, 5),))
    assert below(6, LINKS) == Vlan(2, ((0x88A8, 9),))


def test_the_tag_of_the_lowest_device_is_sent_first() -> None:
    assert below(4, LINKS) == Vlan(2, ((0x8100, 5), (0x8100, 6)))


def test_what_the_datapath_cannot_write_or_reach_is_left_out() -> None:
    assert below(5, LINKS) is None, "three tags"
    assert below(7, LINKS) is None, "the lower interface is in another network namespace"
    assert below(8, LINKS) is None, "or gone"
