# SPDX-License-Identifier: MIT
"""VLAN devices of this network namespace: the interface below, and the tags of frames sent by them."""

from collections.abc import Mapping
from dataclasses import dataclass

from glb.network.messages import Link, links
from glb.network.rtnetlink import open_rtnetlink

MAX_TAGS = 2  # as the datapath writes (bpf/parse.h)


@dataclass(frozen=True, slots=True)
class Vlan:
    """The interface that sends a VLAN device's frames, and their tags.

    index: of the interface below, which is no VLAN device. tags: pairs of EtherType and VLAN identifier, in the order
    of sending.
    """

    index: int
    tags: tuple[tuple[int, int], ...]


def vlan_devices() -> dict[int, Vlan]:
    """The VLAN devices by their own index. One that `below` gives None for is left out."""
    with open_rtnetlink() as netlink:
        known = links(netlink)
    found = {index: below(index, known) for index in known}
    return {index: vlan for index, vlan in found.items() if vlan is not None and vlan.tags}


def below(index: int, known: Mapping[int, Link]) -> Vlan | None:
    """The interface that sends an interface's frames, without tags if it is not a VLAN device.

    None for more than two tags, or if a lower interface is not among the known links: it may be in another network
    namespace.
    """
    tags: tuple[tuple[int, int], ...] = ()
    while len(tags) <= MAX_TAGS:
        link = known.get(index)
        if link is None:
            return None
        if link.vlan is None:
            return Vlan(index, tags)
        if link.is_lower_elsewhere:
            return None
        tags = (link.vlan, *tags)
        index = link.lower
    return None
