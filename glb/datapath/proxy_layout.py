# SPDX-License-Identifier: MIT
"""The addresses that are local to a proxy's host, as the program's maps hold them: struct place_key and the settings of
bpf/proxy_maps.h. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import islice
from sys import byteorder
from typing import Any

import numpy as np
import numpy.typing as npt

from glb.config.model import Address, Network

Places = Mapping[Network, bool]
"""The networks that are local to a host, and whether each is a VIP; for an address, the longest prefix decides."""

_NO_ADDRESS = 0xFFFFFFFF  # of an unused entry, whose mask is empty: no address matches
_GOLDEN_RATIO = 0x9E3779B97F4A7C15  # as in bpf/recent.h
_WORD = (1 << 64) - 1
_FAMILY_BITS = 32


def address_word(address: IPv4Address) -> int:
    """The address in network order, read as this machine reads words."""
    return int.from_bytes(address.packed, byteorder)


def word_address(word: Any) -> IPv4Address:
    """The inverse of `address_word`."""
    return IPv4Address(int(word).to_bytes(4, byteorder))


def place_key(place: Network) -> tuple[int, int, tuple[int, int]]:
    """The network as a key of the map `places`."""
    return _FAMILY_BITS + place.prefixlen, place.version, _words(place.network_address)


def place_of_key(key: Any) -> Network:
    """The inverse of `place_key`."""
    packed = b"".join(int(word).to_bytes(8, byteorder) for word in key["address"])
    length = 4 if key["family"] == 4 else 16
    return ip_network((packed[:length], int(key["prefix_len"]) - _FAMILY_BITS))


def first_networks(networks: Sequence[IPv4Network], room: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    """The first of the networks, as struct network; dtype and number of entries as `room` has them."""
    first = _unused(room)
    for entry, network in zip(first, networks, strict=False):
        entry["mask"], entry["address"] = address_word(network.netmask), address_word(network.network_address)
    return first


@dataclass(frozen=True)
class LocalSettings:
    """The places in the program's settings, so that few packets need a lookup in the map."""

    places: Places
    first_vips: "npt.NDArray[Any]"
    """The IPv4 VIPs that are compared first, as struct network."""
    first_vips6: "npt.NDArray[Any]"
    """The IPv6 VIPs that are compared first, as struct network6."""
    filter: "npt.NDArray[Any]"
    """A bit for the hash of each single address; all bits if a network is not among the first VIPs, since its
    addresses may have any hash."""

    @classmethod
    def of(cls, places: Places, settings: "npt.NDArray[Any]") -> "LocalSettings":
        """settings: a struct proxy_settings, for its types and sizes."""
        quick = {family: _quick_vips(places, family, len(settings["first_vips"])) for family in (4, 6)}
        return cls(
            dict(places),
            _first_vips(quick[4], settings["first_vips"]),
            _first_vips(quick[6], settings["first_vips6"]),
            _filter(places, {*quick[4], *quick[6]}, settings["filter"]),
        )


def _quick_vips(places: Places, family: int, number: int) -> list[Network]:
    """Up to `number` VIPs, wide ones first, that contain no address that is not a VIP: a match is final."""
    own = [place for place, is_vip in places.items() if not is_vip and place.version == family]
    vips = [place for place, is_vip in places.items() if is_vip and place.version == family]
    vips.sort(key=lambda vip: (vip.prefixlen, int(vip.network_address)))
    clear = (vip for vip in vips if not any(other.network_address in vip for other in own))
    return list(islice(clear, number))


def _first_vips(vips: Sequence[Network], room: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    first = _unused(room)
    for entry, vip in zip(first, vips, strict=False):
        if isinstance(vip, IPv4Network):
            entry["mask"], entry["address"] = address_word(vip.netmask), address_word(vip.network_address)
        else:
            entry["mask"], entry["address"] = _words(vip.netmask), _words(vip.network_address)
    return first


def _filter(places: Places, quick: Collection[Network], room: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    bits = np.zeros(room.nbytes, np.uint8)
    for place in places:
        if place.prefixlen < place.max_prefixlen and place not in quick:
            return np.full_like(room, ~np.uint64(0))
        bit = _hash(place.network_address, len(bits) * 8)
        bits[bit // 8] |= 1 << bit % 8
    return bits.view(room.dtype)


def _hash(address: Address, bits: int) -> int:
    """As may_be_local() in bpf/admit.h."""
    first, second = _words(address)
    return ((first ^ second) * _GOLDEN_RATIO & _WORD) * bits >> 64


def _words(address: Address) -> tuple[int, int]:
    """As struct flow holds it: the bytes in network order, an IPv4 address in the first four."""
    packed = address.packed.ljust(16, b"\0")
    return int.from_bytes(packed[:8], byteorder), int.from_bytes(packed[8:], byteorder)


def _unused(room: "npt.NDArray[Any]") -> "npt.NDArray[Any]":
    entries = np.zeros_like(room)
    entries["address"] = _NO_ADDRESS
    return entries
