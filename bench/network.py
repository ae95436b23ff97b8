# SPDX-License-Identifier: MIT
"""Packets and connections a second, in namespaces made for it."""

from dataclasses import dataclass
from typing import Any

from bench import connections, forwarding
from bench.progress import Progress


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is sent."""

    rounds: int
    packets: int
    seconds: int


THOROUGH = Effort(rounds=11, packets=2_000_000, seconds=4)
QUICK = Effort(rounds=3, packets=500_000, seconds=1)


def run(effort: Effort, progress: Progress) -> dict[str, Any]:
    return {
        "forwarding": forwarding.run(effort.rounds, effort.packets, progress),
        "connections": connections.run(effort.rounds, effort.seconds, progress),
    }
