# SPDX-License-Identifier: MIT
"""The format's rules once more, in the plainest Python and without glb: what the tests compare glb with.

A backend is (address, state, healthy), with the state as the JSON files have it.
"""

from ipaddress import IPv4Address, IPv6Address
from math import log1p

Entry = tuple[IPv4Address | IPv6Address, str, bool]

M = 2**64


def rotl(x: int, b: int) -> int:
    return (x << b) % M | x >> (64 - b)


def siphash(key: bytes, data: bytes) -> bytes:
    """SipHash-2-4 along the lines of the paper's figure 2.1."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    whole = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) % 256])
    blocks = [int.from_bytes(whole[i : i + 8], "little") for i in range(0, len(whole), 8)]
    for m, rounds in [(block, 2) for block in blocks] + [(None, 4)]:
        if m is None:
            c ^= 0xFF
        else:
            d ^= m
        for _ in range(rounds):
            a, c = (a + b) % M, (c + d) % M
            b, d = rotl(b, 13) ^ a, rotl(d, 16) ^ c
            a = rotl(a, 32)
            c, a = (c + b) % M, (a + d) % M
            b, d = rotl(b, 17) ^ c, rotl(d, 21) ^ a
            c = rotl(c, 32)
        if m is not None:
            a ^= m
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def ranking(entries: list[Entry], seed: bytes, row: int) -> list[int]:
    """The indices of all backends that are not inactive, in rendezvous order."""
    row_seed = siphash(seed, row.to_bytes(4, "big"))
    weights = {i: siphash(seed, row_seed + address.packed) for i, (address, _, _) in enumerate(entries)}
    return sorted((i for i, entry in enumerate(entries) if entry[1] != "inactive"), key=lambda i: weights[i])


def github_row(entries: list[Entry], seed: bytes, row: int) -> list[int]:
    """Primary and secondary by the rule of GitHub's compiler."""
    hops = ranking(entries, seed, row)[:2]
    if len(hops) == 2:
        _, state, healthy = entries[hops[0]]
        if (state == "draining" or not healthy) and entries[hops[1]][1] == "active":
            hops.reverse()
    return hops


def deep_row(entries: list[Entry], seed: bytes, row: int, depth: int) -> list[int]:
    """The row's backends: available, draining, unhealthy; and never without one that is available."""

    def available(i: int) -> bool:
        return entries[i][1] in ("active", "filling") and entries[i][2]

    ranked = ranking(entries, seed, row)
    hops = ranked[:depth]
    good = [i for i in hops if available(i)]
    if not good:
        good = [i for i in ranked if available(i)][:1]
    kept = (good + [i for i in hops if not available(i)])[:depth]
    return [i for i in kept if entries[i][2]] + [i for i in kept if not entries[i][2]]


def weighted_ranking(weights: dict[IPv4Address | IPv6Address, float], seed: bytes, row: int) -> list[int]:
    """The positions of addresses, in the order that their weights give them in a row."""
    row_seed = siphash(seed, row.to_bytes(4, "big"))
    scores = []
    for address, weight in weights.items():
        u = int.from_bytes(siphash(seed, row_seed + address.packed), "big") / M
        scores.append(-log1p(-u) / weight)
    return sorted(range(len(scores)), key=lambda i: scores[i])


def zoned_row(ranked: list[int], zones: list[str], standing: list[int], depth: int) -> list[int]:
    """The row of depth 3 or more, given all backends in rendezvous order, their zones, and how they stand.

    A standing is 0 for a backend that is available, 1 for one that drains, 2 for an unhealthy one.
    """
    hops = ranked[:depth]
    if len({zones[i] for i in hops}) == 1:
        others = [i for i in ranked if zones[i] != zones[hops[0]]]
        hops[-1:] = others[:1] or hops[-1:]
    if 0 in standing and all(standing[i] for i in hops):
        hops = [next(i for i in ranked if not standing[i]), *hops]
        elsewhere = [i for i in hops if zones[i] != zones[hops[0]]]
        hops.pop(-2 if elsewhere == hops[-1:] else -1)
    row = sorted(hops, key=lambda i: standing[i])
    for i in row[1:]:
        if zones[i] != zones[row[0]] and standing[i] == standing[row[1]]:
            row.remove(i)
            row.insert(1, i)
            break
    return row
