# SPDX-License-Identifier: MIT
"""The health checks of a table file, as immutable values."""

from dataclasses import dataclass
from enum import StrEnum

StatusRange = tuple[int, int]
"""HTTP status codes from the first to the last, both included."""


class Initial(StrEnum):
    """The health of a backend before its first check."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HealthCheckPolicy:
    """How often a backend is checked, and how many equal results in a row change its health.

    A check begins every `interval_ms`, varied by `jitter` (a share of the interval) in both directions. For a
    backend that stays down, the interval grows up to `slow_interval_ms`.
    """

    interval_ms: int = 400
    timeout_ms: int = 400
    rise: int = 3
    fall: int = 3
    jitter: float = 0.1
    slow_interval_ms: int = 5000
    initial: Initial = Initial.DOWN

    @property
    def seconds_to_fall(self) -> float:
        """The longest time that a backend stays up after it stopped responding."""
        return self.fall * max(self.interval_ms * (1 + self.jitter), self.timeout_ms) / 1000 + self.timeout_ms / 1000


DEFAULT_POLICY = HealthCheckPolicy()
DEFAULT_HOLD_SHARE = 0.75
FULL_SIZE = 0xFFFF
"""Of `gue_size`: the largest IPv4 packet; the path's MTU then limits the size."""
DEFAULT_STATUSES: tuple[StatusRange, ...] = ((200, 399),)


@dataclass(frozen=True, slots=True)
class HealthChecks:
    """The checks of a backend. Values are ports; None: the check is not made.

    gue_size: the size of the outer packet of a second `gue` check, in bytes.
    The checks named vip_* connect to the VIP through the tunnel. `fou` is a key of GitHub's format; it is not made.
    """

    http: int | None = None
    http_uri: str | None = None
    tcp: int | None = None
    gue: int | None = None
    gue_size: int | None = None
    fou: int | None = None
    https: int | None = None
    https_verify: bool = False
    http_host: str | None = None
    http_status: tuple[StatusRange, ...] = DEFAULT_STATUSES
    vip_tcp: int | None = None
    vip_http: int | None = None


NO_CHECKS = HealthChecks()
