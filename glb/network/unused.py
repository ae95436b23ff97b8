# SPDX-License-Identifier: MIT
"""Addresses for probes that no host uses.

The ranges for documentation are not used on the Internet, but a lab or a test network may use them.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain, islice

from glb.errors import NetworkError
from glb.network.routes import is_local
from glb.network.rtnetlink import open_rtnetlink

Network = IPv4Network | IPv6Network

# RFC 5737; RFC 3849, RFC 9637
_DOCUMENTATION: dict[int, tuple[Network, ...]] = {
    4: tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))),
    6: tuple(map(IPv6Network, ("2001:db8::/32", "3fff::/20"))),
}
_TRIED = 64  # of each range


def unused_addresses(version: int, count: int, avoid: Sequence[Network] = ()) -> list[IPv4Address | IPv6Address]:
    """Addresses of an IP version that this host does not take packets for.

    avoid: networks to use only if there are no other addresses. Raises NetworkError if this host
    takes packets for all documentation addresses.
    """
    candidates = list(chain.from_iterable(map(_first, _DOCUMENTATION[version])))
    preferred = sorted(candidates, key=lambda address: any(address in network for network in avoid))
    with open_rtnetlink() as netlink:
        found = list(islice((address for address in preferred if not is_local(netlink, address)), count))
    if len(found) < count:
        ranges = ", ".join(map(str, _DOCUMENTATION[version]))
        raise NetworkError(
            f"no address to probe from: this host takes packets for all of {ranges}; remove such a route"
        )
    return found


def _first(network: Network) -> Iterator[IPv4Address | IPv6Address]:
    return (network[number] for number in range(1, _TRIED + 1))
