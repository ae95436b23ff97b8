# SPDX-License-Identifier: MIT
"""The health of a table's backends, from the state of their checks, the overrides and the hold. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from glb.config.health import FULL_SIZE
from glb.config.model import Address, State
from glb.health.check_plan import CheckKind, PlannedCheck, TableChecks
from glb.health.check_state import NOT_CHECKED, CheckHealth
from glb.health.result import SILENT
from glb.health.view import HealthSource

ALL_PASS = "all checks pass"

Checked = tuple[PlannedCheck, CheckHealth]


@dataclass(frozen=True, slots=True)
class Override:
    """A backend's health as set by the operator, whatever its checks find. `since` is in seconds since 1970."""

    healthy: bool
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when a table is on hold, in seconds since 1970, and which failing backends are kept up."""

    since: float
    up: frozenset[Address]


@dataclass(frozen=True, slots=True)
class CheckedHealth:
    """A backend's health by its checks alone.

    checked: each check has a result. fell: when the first of the failing checks went down, in seconds since 1970.
    """

    up: bool
    checked: bool
    reason: str
    fell: float | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A backend's health, the reason, and what it comes from."""

    healthy: bool
    reason: str
    source: HealthSource


def judge(
    table: TableChecks,
    checks: Mapping[PlannedCheck, CheckHealth],
    overrides: Mapping[Address, Override],
    before: Hold | None,
    judged: float,
) -> tuple[dict[Address, Judgement], Hold | None]:
    """The health of each backend that is not inactive, and the table's hold, if any.

    judged: when the table was judged last, in seconds since 1970.
    """
    checked = {
        backend.address: combine([(planned, checks[planned]) for planned in backend.checks])
        for backend in table.backends
        if backend.checks
    }
    decided_by_checks = {address: health for address, health in checked.items() if address not in overrides}
    held = hold(decided_by_checks, table.hold_share, table.window, before, judged)
    kept_up = held.up if held is not None else frozenset()
    return dict(_judgements(table, checked, overrides, kept_up)), held


def hold(
    checked: Mapping[Address, CheckedHealth], share: float, window: float, before: Hold | None, judged: float
) -> Hold | None:
    """The hold of a table: when many backends fail at once, the cause is more likely on this host.

    checked: the backends whose health comes from their checks. judged: when the table was judged last, in seconds since
    1970. A hold begins only with a backend that has failed since then, at the time of the latest such failure.

    The hold keeps up the backends that failed less than `window` seconds before it began, and those that fail during
    it: checks of backends that fail together do not end at the same moment. Backends that were down before stay down.
    Returns None if at most `share` of the backends are down, or if there is none to keep up.
    """
    fell = {address: health.fell for address, health in checked.items() if health.checked and not health.up}
    if len(fell) <= share * len(checked):
        return None
    latest = max((when for when in fell.values() if when is not None), default=None)
    if before is None and (latest is None or latest < judged):
        return None
    since = before.since if before is not None else latest
    assert since is not None
    recent = {address for address, when in fell.items() if when is not None and when >= since - window}
    up = frozenset(recent) | (before.up if before is not None else frozenset())
    return Hold(since, up) if up else None


def combine(checks: Sequence[Checked]) -> CheckedHealth:
    """The health of a backend by its checks: up if each of them is up."""
    down = [health for _, health in checks if not health.state.up]
    fell = [health.fell for health in down if health.fell is not None]
    return CheckedHealth(
        up=not down,
        checked=all(health.state.checked for _, health in checks),
        reason=reason(checks),
        fell=min(fell, default=None),
    )


def reason(checks: Sequence[Checked]) -> str:
    """Why a backend is up or down, in one line."""
    checked = [(planned, health) for planned, health in checks if health.state.checked]
    down = [(planned, health) for planned, health in checked if not health.state.up]
    if not down:
        return ALL_PASS if len(checked) == len(checks) else NOT_CHECKED
    first = down[0][1].found
    is_failing = all(health.state.against == 0 for _, health in down)
    if len(down) == len(checks) > 1 and all(health.found in SILENT for _, health in down):
        return f"host down: {first}"
    if is_failing and all(planned.check.vip is not None for planned, _ in down) and _is_host_up(checked):
        return f"host up, VIP not served: {first}"
    if is_failing and _loses_large_packets(checked, down):
        size = "full size" if down[0][0].check.size == FULL_SIZE else f"{down[0][0].check.size} bytes"
        return f"packets of {size} are lost; small ones arrive: MTU of a switch or router?"
    return ", ".join(f"{planned.check.label}: {_finding(planned, health)}" for planned, health in down)


def _judgements(
    table: TableChecks,
    checked: Mapping[Address, CheckedHealth],
    overrides: Mapping[Address, Override],
    kept_up: frozenset[Address],
) -> Iterator[tuple[Address, Judgement]]:
    for backend in table.backends:
        address = backend.address
        override, health = overrides.get(address), checked.get(address)
        if backend.state is State.INACTIVE:
            continue
        if override is not None:
            yield address, Judgement(override.healthy, override.reason, HealthSource.SET)
        elif health is None:
            yield address, Judgement(backend.healthy, "not checked: as the file says", HealthSource.FILE)
        elif not health.up and address in kept_up:
            yield address, Judgement(True, health.reason, HealthSource.HELD)
        else:
            yield address, Judgement(health.up, health.reason, HealthSource.CHECKS)


def _is_host_up(checked: Sequence[Checked]) -> bool:
    """Whether a check of the host itself passes."""
    return any(health.passes for planned, health in checked if planned.check.vip is None)


def _loses_large_packets(checked: Sequence[Checked], down: Sequence[Checked]) -> bool:
    """Whether only the echo of a given size fails, while the small echo passes."""
    alone = all(planned.check.kind is CheckKind.GUE_SIZE and health.found in SILENT for planned, health in down)
    return alone and any(health.passes for planned, health in checked if planned.check.kind is CheckKind.GUE)


def _finding(planned: PlannedCheck, health: CheckHealth) -> str:
    """Why a check is down: its latest failure, or too few passes since."""
    if health.state.against > 0:
        return f"passes again, but not yet {planned.policy.rise} times in a row"
    return health.found
