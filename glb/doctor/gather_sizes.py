# SPDX-License-Identifier: MIT
"""Echoes through the tunnel to each backend, small and of full size: no counter shows what a switch drops silently."""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address

from glb.doctor.facts import SizeFacts
from glb.health.echo import Echoes
from glb.health.gue import GUE_PORT
from glb.network.path_mtu import kernel_path_mtu

_ANSWER_SECONDS = 0.5
_ATTEMPTS = 3  # one may be lost by chance, or trigger a router's ICMP error with a smaller MTU
_AT_ONCE = 64  # backends; a burst of packets of full size would fill queues


def size_facts(source: IPv4Address, largest: Mapping[IPv4Address, int]) -> Mapping[str, SizeFacts]:
    """Whether small and full-size packets arrive at each backend.

    source: the tunnel's. largest: bytes of the largest outer packet that the director sends to a backend.
    Raises OSError if echoes cannot be sent from `source`.
    """
    return asyncio.run(_size_facts(source, largest))


async def _size_facts(source: IPv4Address, largest: Mapping[IPv4Address, int]) -> Mapping[str, SizeFacts]:
    room = asyncio.Semaphore(_AT_ONCE)
    echoes = Echoes(source)

    async def examine(backend: IPv4Address, size: int) -> SizeFacts:
        async with room:
            if not await _answers(echoes, backend, None):
                return SizeFacts(size, small=False, full=False)
            full = await _answers(echoes, backend, size)
            return SizeFacts(min(size, kernel_path_mtu(source, backend)), small=True, full=full)

    try:
        found = await asyncio.gather(*(examine(backend, size) for backend, size in largest.items()))
    finally:
        echoes.close()
    return {str(backend): facts for backend, facts in zip(largest, found, strict=True)}


async def _answers(echoes: Echoes, backend: IPv4Address, size: int | None) -> bool:
    for _ in range(_ATTEMPTS):
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await echoes.ping(backend, GUE_PORT, size)
            return True
        except OSError:  # TimeoutError too
            continue
    return False
