# SPDX-License-Identifier: MIT
"""A router's choice among next hops of equal cost: each hash selects a bucket, each bucket has a next hop."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glb.simulate.connections import Hashes
from glb.simulate.model import Ecmp

Numbers = npt.NDArray[np.int16]
"""Numbers of directors or backends, from 0, or one of the two below."""

LOST = -1
"""In the place of a number: the packet is lost."""

REFUSED = -2
"""In the place of a number: the packet is answered by a reset or an ICMP error, which ends the connection."""


def modulo_buckets(members: Sequence[int]) -> Numbers:
    """One bucket per next hop: if their number changes, all but 1/number of the hashes move.

    Linux's multipath routes and some routers use RFC 2992's hash threshold instead, which moves a quarter to a half.
    Source: Thaler & Hopps, "Multipath Issues in Unicast and Multicast Next-Hop Selection", RFC 2991, 2000.
    """
    return np.array(sorted(members), np.int16)


def resilient_buckets(before: Numbers, members: Sequence[int]) -> Numbers:
    """Buckets of removed next hops move to those with the fewest; new next hops get buckets from those with the most.

    The move is immediate: with idle timers, a new next hop would wait for buckets without traffic.
    Source: "Resilient Next-hop Groups", docs.kernel.org/networking/nexthop-group-resilient.html.
    """
    if not members:
        return np.full(len(before), LOST, np.int16)
    after = before.copy()
    owned = {member: int(np.count_nonzero(after == member)) for member in sorted(members)}
    for bucket in np.flatnonzero(~np.isin(after, list(owned))):
        _hand_over(after, int(bucket), min(owned, key=owned.__getitem__), owned)
    while max(owned.values()) - min(owned.values()) > 1:
        most = max(owned, key=owned.__getitem__)
        _hand_over(after, int(np.flatnonzero(after == most)[0]), min(owned, key=owned.__getitem__), owned)
    return after


def _hand_over(buckets: Numbers, bucket: int, to: int, owned: dict[int, int]) -> None:
    giver = int(buckets[bucket])
    if giver in owned:
        owned[giver] -= 1
    owned[to] += 1
    buckets[bucket] = to


def buckets_over_time(kind: Ecmp, members: Sequence[Sequence[int]], size: int) -> list[Numbers]:
    """The buckets for each of the successive lists of next hops; `size` is how many resilient hashing has."""
    if kind is Ecmp.MODULO:
        return [modulo_buckets(now) for now in members]
    buckets, history = np.full(size, LOST, np.int16), []
    for now in members:
        buckets = resilient_buckets(buckets, now)
        history.append(buckets)
    return history


def next_hops(buckets: Numbers, hashes: Hashes) -> Numbers:
    """The next hop of each hash; LOST if there is no next hop."""
    if not len(buckets):
        return np.full(len(hashes), LOST, np.int16)
    hops: Numbers = buckets[hashes % np.uint32(len(buckets))]
    return hops
