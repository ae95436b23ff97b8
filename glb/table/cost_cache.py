# SPDX-License-Identifier: MIT
"""A cache of values that are expensive to compute, with a limit of memory.

The value with the lowest cost per byte is removed first, unless it was used recently. Source:
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
    """Values by key, at most `memory` bytes, except for the newest value. Safe for threads."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._lock = Lock()
        self._kept: dict[K, _Kept[V]] = {}
        self._used = 0
        self._floor = 0.0  # the priority of the value that was removed last

    def get(self, key: K) -> V | None:
        """The value, which is marked as used now; None if it is not cached."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._touch(key, found)
            return found.value

    def put(self, key: K, value: V, size: int, cost: int) -> None:
        """Cache a value. size: in bytes. cost: of computing it again, in any unit."""
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
        """All cached values."""
        with self._lock:
            return [entry.value for entry in self._kept.values()]

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._kept

    def _touch(self, key: K, entry: _Kept[V]) -> None:
        """Of equal priorities, the most recently used value is removed last."""
        entry.priority = self._floor + entry.cost / max(entry.size, 1)
        self._kept[key] = self._kept.pop(key)

    def _remove(self, key: K) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._used -= entry.size
