# SPDX-License-Identifier: MIT
"""What the forwarding table's source says about health checks, as immutable values."""

from dataclasses import dataclass
from enum import StrEnum

StatusRange = tuple[int, int]
"""HTTP status codes from the first to the last, both included."""


class Initial(StrEnum):
    """What a backend is taken for that has never been checked."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HealthCheckPolicy:
    """How often a backend is checked, and how many equal results in a row change its health.

    A check begins every `interval_ms`, spread by `jitter` (a share of the interval) to either side; one of a backend
    that stays down is made less and less often, down to every `slow_interval_ms`.
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
        """The longest that a backend which has died, without a word, stays up."""
        return self.fall * max(self.interval_ms * (1 + self.jitter), self.timeout_ms) / 1000 + self.timeout_ms / 1000


DEFAULT_POLICY = HealthCheckPolicy()
DEFAULT_HOLD_SHARE = 0.75
FULL_SIZE = 0xFFFF
"""Of `gue_size`: the largest IPv4 packet, so that the path's own MTU is what limits it."""
DEFAULT_STATUSES: tuple[StatusRange, ...] = ((200, 399),)


@dataclass(frozen=True, slots=True)
class HealthChecks:
    """How a backend's health is found out. Ports; None means that a check is not made.

    gue_size: the size of the outer packet of a further `gue` check, in bytes.
    The checks named vip_* are made of the VIP itself, inside the tunnel. `fou` is GitHub's and is not made.
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
