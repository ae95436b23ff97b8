# SPDX-License-Identifier: MIT
"""What is costly to make, kept within a bound of memory.

What goes first is what is cheapest to make again for the memory that it takes, unless it was used of late. Source:
Cao & Irani, "Cost-aware WWW proxy caching algorithms", 1997 (GreedyDual-Size).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Kept(Generic[V]):
    value: V
    size: int
    cost: int
    priority: float


class CostCache(Generic[K, V]):
    """Values by key, of `memory` bytes at most, apart from the one that was put in last. Any thread may use it."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._lock = Lock()
        self._kept: dict[K, _Kept[V]] = {}
        self._used = 0
        self._floor = 0.0  # the priority of what went last

    def get(self, key: K) -> V | None:
        """The value, which counts as used now."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._touch(key, found)
            return found.value

    def put(self, key: K, value: V, size: int, cost: int) -> None:
        """Keep a value. size: in bytes. cost: of making it again, in any unit."""
        with self._lock:
            self._remove(key)
            entry = self._kept[key] = _Kept(value, size, cost, 0.0)
            self._used += size
            self._touch(key, entry)
            while self._used > self._memory and len(self._kept) > 1:
                others = (other for other in self._kept if other != key)
                first = min(others, key=lambda other: self._kept[other].priority)
                self._floor = max(self._floor, self._kept[first].priority)
                self._remove(first)

    def values(self) -> list[V]:
        """Those that are kept now."""
        with self._lock:
            return [entry.value for entry in self._kept.values()]

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._kept

    def _touch(self, key: K, entry: _Kept[V]) -> None:
        """Of equal priorities, the one that was used last stands last, so it goes last."""
        entry.priority = self._floor + entry.cost / max(entry.size, 1)
        self._kept[key] = self._kept.pop(key)

    def _remove(self, key: K) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._used -= entry.size
