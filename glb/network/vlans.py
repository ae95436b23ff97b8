# SPDX-License-Identifier: MIT
"""VLAN devices of this network namespace, as what they do to a frame that leaves by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glb.network.netlink import open_netlink

MAX_TAGS = 2  # as the datapath writes (bpf/parse.h)


@dataclass(frozen=True, slots=True)
class Vlan:
    """Where a VLAN device's frames leave, and with which tags.

    index: of the interface below, which is no VLAN device. tags: pairs of EtherType and VLAN identifier, the one that
    is sent first first.
    """

    index: int
    tags: tuple[tuple[int, int], ...]


def vlan_devices() -> dict[int, Vlan]:
    """The VLAN devices by their own index. One that `below` gives None for is left out."""
    with open_netlink() as netlink:
        links = {link["index"]: link for link in netlink.get_links()}
    found = {index: below(index, links) for index in links}
    return {index: vlan for index, vlan in found.items() if vlan is not None and vlan.tags}


def below(index: int, links: Mapping[int, Any]) -> Vlan | None:
    """Where frames leave that are sent by an interface, with no tags if it is no VLAN device.

    links: pyroute2's messages by index. None for more than two tags, or if a lower interface is not among the links:
    it may be in another network namespace.
    """
    tags: tuple[tuple[int, int], ...] = ()
    while len(tags) <= MAX_TAGS:
        link = links.get(index)
        if link is None:
            return None
        if link.get_nested("linkinfo", "kind") != "vlan":
            return Vlan(index, tags)
        if link.get("link_netnsid") is not None:
            return None
        settings = link.get("linkinfo").get("data")
        tags = ((settings.get("vlan_protocol"), settings.get("vlan_id")), *tags)
        index = link.get("link")
    return None
