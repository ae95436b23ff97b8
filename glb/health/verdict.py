"""What the checks of one backend say together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from glb.health.damping import Damped
from glb.health.plan import Probe
from glb.health.result import SILENT

ALL_PASS = "all checks pass"
NOT_CHECKED = "not checked yet"


@dataclass(frozen=True, slots=True)
class ProbeHealth:
    """A probe's health. `found` is what it found last; `fell` when it went from up to down, in seconds since 1970.

    `fell` is None for one that is up, or that has never been.
    """

    damped: Damped
    found: str = NOT_CHECKED
    fell: float | None = None


Probed = tuple[Probe, ProbeHealth]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A backend by its checks alone. `checked`: each has a result. `fell`: as of the check that failed first."""

    up: bool
    checked: bool
    reason: str
    fell: float | None


def verdict(probed: Sequence[Probed]) -> Verdict:
    """A backend is up if all of its checks are."""
    down = [health for _, health in probed if not health.damped.up]
    fell = [health.fell for health in down if health.fell is not None]
    return Verdict(
        up=not down,
        checked=all(health.damped.checked for _, health in probed),
        reason=reason(probed),
        fell=min(fell, default=None),
    )


def reason(probed: Sequence[Probed]) -> str:
    """Why a backend is up or down, in one line."""
    checked = [(probe.check, health) for probe, health in probed if health.damped.checked]
    down = [(check, health) for check, health in checked if not health.damped.up]
    if not down:
        return ALL_PASS if len(checked) == len(probed) else NOT_CHECKED
    first = down[0][1].found
    if len(down) == len(probed) > 1 and all(health.found in SILENT for _, health in down):
        return f"host down: {first}"
    if all(check.vip is not None for check, _ in down) and len(down) < len(probed):
        return f"host up, VIP not served: {first}"
    return ", ".join(f"{check.label}: {health.found}" for check, health in down)
