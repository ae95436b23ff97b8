# SPDX-License-Identifier: MIT
"""The state of one check: `fall` failures in a row take it down, `rise` passes in a row bring it up. Pure."""

from dataclasses import dataclass, replace

from glb.config.health import HealthCheckPolicy, Initial

NOT_CHECKED = "not checked yet"


@dataclass(frozen=True, slots=True)
class CheckState:
    """Up or down. The last `against` results contradict it, the last `failed` results are failures."""

    up: bool
    checked: bool = True
    against: int = 0
    failed: int = 0

    @classmethod
    def unchecked(cls, policy: HealthCheckPolicy) -> "CheckState":
        """The state before the first result."""
        return cls(policy.initial is Initial.UP, checked=False)

    def after(self, passed: bool, policy: HealthCheckPolicy) -> "CheckState":
        """The state after one more result. A check whose first result is a pass is up at once."""
        failed = 0 if passed else self.failed + 1
        against = self.against + 1 if passed != self.up else 0
        needed = 1 if passed and not self.checked else policy.rise if passed else policy.fall
        flips = against >= needed
        return replace(self, up=self.up != flips, checked=True, against=0 if flips else against, failed=failed)


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """A check's state, its latest result `found`, and when it went from up to down, in seconds since 1970.

    `fell` is None for a check that is up, or that was never up.
    """

    state: CheckState
    found: str = NOT_CHECKED
    fell: float | None = None

    @property
    def passes(self) -> bool:
        """Whether the check is up and its latest result was a pass."""
        return self.state.up and self.state.against == 0


def pause(state: CheckState, policy: HealthCheckPolicy, spread: float) -> float:
    """Seconds from the start of a check to the start of the next; `spread` is a random number from -1 to 1.

    While a check is down and keeps failing, the pause doubles each time, up to the slow interval.
    """
    wait = float(policy.interval_ms)
    if not state.up and state.failed > policy.fall:
        doublings = min(state.failed - policy.fall, 20)
        wait = min(wait * 2**doublings, max(wait, policy.slow_interval_ms))
    return wait * (1 + policy.jitter * spread) / 1000
