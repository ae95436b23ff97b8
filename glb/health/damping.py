# SPDX-License-Identifier: MIT
"""What a check's results make of it: consecutive ones count, and the opposite one begins the count anew."""

from dataclasses import dataclass, replace

from glb.config.health import HealthCheckPolicy, Initial


@dataclass(frozen=True, slots=True)
class Damped:
    """A check's health. `against` results in a row contradict it, the last `failed` results are failures."""

    up: bool
    checked: bool = True
    against: int = 0
    failed: int = 0

    @classmethod
    def unchecked(cls, policy: HealthCheckPolicy) -> "Damped":
        """Before the first result."""
        return cls(policy.initial is Initial.UP, checked=False)

    def after(self, passed: bool, policy: HealthCheckPolicy) -> "Damped":
        """With one more result. The first one of all lifts what is down at once: nothing speaks against it."""
        failed = 0 if passed else self.failed + 1
        against = self.against + 1 if passed != self.up else 0
        needed = 1 if passed and not self.checked else policy.rise if passed else policy.fall
        flips = against >= needed
        return replace(self, up=self.up != flips, checked=True, against=0 if flips else against, failed=failed)


def pause(health: Damped, policy: HealthCheckPolicy, spread: float) -> float:
    """Seconds from a check's begin to the next one's; `spread` is a random number from -1 to 1.

    While a check is down and goes on failing, the pause doubles each time, up to the slow interval.
    """
    wait = float(policy.interval_ms)
    if not health.up and health.failed > policy.fall:
        doublings = min(health.failed - policy.fall, 20)
        wait = min(wait * 2**doublings, max(wait, policy.slow_interval_ms))
    return wait * (1 + policy.jitter * spread) / 1000
