# SPDX-License-Identifier: MIT
"""What the checks of one backend say together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from glb.config.health import FULL_SIZE
from glb.health.check import Kind
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
    checked = [(probe, health) for probe, health in probed if health.damped.checked]
    down = [(probe, health) for probe, health in checked if not health.damped.up]
    if not down:
        return ALL_PASS if len(checked) == len(probed) else NOT_CHECKED
    first = down[0][1].found
    is_failing = all(health.damped.against == 0 for _, health in down)
    if len(down) == len(probed) > 1 and all(health.found in SILENT for _, health in down):
        return f"host down: {first}"
    if is_failing and all(probe.check.vip is not None for probe, _ in down) and _is_host_up(checked):
        return f"host up, VIP not served: {first}"
    if is_failing and _loses_large_packets(checked, down):
        size = "full size" if down[0][0].check.size == FULL_SIZE else f"{down[0][0].check.size} bytes"
        return f"packets of {size} are lost, small ones arrive: MTU of a switch or router?"
    return ", ".join(f"{probe.check.label}: {_finding(probe, health)}" for probe, health in down)


def _is_host_up(checked: Sequence[Probed]) -> bool:
    """Whether a check of the host itself passes: one that is up, and whose last result was no failure."""
    return any(_passes(health) for probe, health in checked if probe.check.vip is None)


def _loses_large_packets(checked: Sequence[Probed], down: Sequence[Probed]) -> bool:
    """Whether nothing but the echo of a given size fails, while the small one passes."""
    alone = all(probe.check.kind is Kind.GUE_SIZE and health.found in SILENT for probe, health in down)
    return alone and any(_passes(health) for probe, health in checked if probe.check.kind is Kind.GUE)


def _passes(health: ProbeHealth) -> bool:
    """Whether a check is up, and its last result was no failure."""
    return health.damped.up and health.damped.against == 0


def _finding(probe: Probe, health: ProbeHealth) -> str:
    """What keeps a check down: its last failure, or that it has passed too few times since."""
    if health.damped.against > 0:
        return f"passes again, but not yet {probe.policy.rise} times in a row"
    return health.found
