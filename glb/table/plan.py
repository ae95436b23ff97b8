# SPDX-License-Identifier: MIT
"""The effects of a change of tables, computed before it is made.

The numbers of rows concern new connections, the findings established ones.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum

from glb.config.model import Address, Backend, State
from glb.table.diff import BackendShare, diff, match
from glb.table.findings import BindOf, PlanFinding, PlanSeverity, find
from glb.table.model import BuiltTable


class PlanAction(StrEnum):
    """What the change does to a backend."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """A backend that changes, or whose rows change. Rows are those with it as first hop, of 65,536.

    before, after: its state; None: it is not listed. changes: other differences, such as "weight 1 -> 2".
    """

    address: Address
    action: PlanAction
    before: State | None
    after: State | None
    changes: tuple[str, ...]
    rows_before: int
    rows_after: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class TablePlan:
    """The changes of a table. moved_share: the share, 0 to 1, of new connections that get another backend."""

    name: str
    settings: tuple[str, ...]
    binds_added: tuple[str, ...]
    binds_removed: tuple[str, ...]
    backends: tuple[BackendPlan, ...]
    rows_moved: int
    moved_share: float

    @property
    def changes(self) -> bool:
        return bool(self.settings or self.binds_added or self.binds_removed or self.backends)


@dataclass(frozen=True, slots=True)
class TableBrief:
    """A table that is added or removed."""

    name: str
    binds: tuple[str, ...]
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Basis:
    """The tables that a plan starts from. what: such as "the tables that the director of eth0 has loaded"."""

    what: str
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The effects of a change; `findings` are sorted, the worst first."""

    added: tuple[TableBrief, ...]
    removed: tuple[TableBrief, ...]
    changed: tuple[TablePlan, ...]
    findings: tuple[PlanFinding, ...]
    basis: Basis | None = None

    @property
    def changes(self) -> bool:
        """Whether the tables differ."""
        return bool(self.added or self.removed or self.changed)

    @property
    def cuts(self) -> tuple[PlanFinding, ...]:
        """The findings by which established connections are certainly lost."""
        return tuple(finding for finding in self.findings if finding.severity is PlanSeverity.CUTS)

    @property
    def doubts(self) -> tuple[PlanFinding, ...]:
        """The findings by which older connections are lost, if any are still open."""
        return tuple(finding for finding in self.findings if finding.severity is PlanSeverity.MAY_CUT)

    def refusal(self) -> str | None:
        """Why the change is refused, a line for each cut; None if there is none."""
        if not self.cuts:
            return None
        return _refusal("it would cut established connections (override with --force)", self.cuts)

    def doubt(self) -> str | None:
        """Why the change should wait, a line for each doubt; None if there is none."""
        if not self.doubts:
            return None
        return _refusal("it may cut older connections (override with --may-cut)", self.doubts)


def _refusal(why: str, findings: Sequence[PlanFinding]) -> str:
    lines = [f"{finding.place}: {finding.reason}; {finding.remedy}" for finding in findings]
    return "\n".join([f"refused, since {why}:", *lines])


def plan_change(
    old: Sequence[BuiltTable],
    new: Sequence[BuiltTable],
    unmatched: Collection[BindOf] = frozenset(),
    basis: Basis | None = None,
) -> Plan:
    """Plan the change from the tables that are loaded to others.

    unmatched: binds that no packet has matched, as for `findings.find`. Raises TableError if a name occurs twice.
    """
    matching = match(old, new)
    tables = [_table_plan(before, after) for before, after in matching.both if not _same(before, after)]
    return Plan(
        added=tuple(_brief(table) for table in matching.added),
        removed=tuple(_brief(table) for table in matching.removed),
        changed=tuple(table for table in tables if table.changes),
        findings=find(old, new, unmatched),
        basis=basis,
    )


def _same(old: BuiltTable, new: BuiltTable) -> bool:
    return old.has_rows_of(new) and (old.name, old.binds, old.seed) == (new.name, new.binds, new.seed)


def _brief(table: BuiltTable) -> TableBrief:
    backends = tuple(f"{backend.address} {backend.state}" for backend in table.backends)
    return TableBrief(table.name, tuple(str(bind) for bind in table.binds), backends)


def _table_plan(old: BuiltTable, new: BuiltTable) -> TablePlan:
    change = diff(old, new)
    before = {backend.address: backend for backend in old.backends}
    after = {backend.address: backend for backend in new.backends}
    backends = [_backend_plan(before.get(s.address), after.get(s.address), s) for s in change.backends]
    return TablePlan(
        name=new.name,
        settings=tuple(_settings(old, new)),
        binds_added=tuple(str(bind) for bind in change.binds_added),
        binds_removed=tuple(str(bind) for bind in change.binds_removed),
        backends=tuple(b for b in backends if b.action is not PlanAction.KEEP or b.gained or b.lost),
        rows_moved=change.moved,
        moved_share=change.moved_share,
    )


def _settings(old: BuiltTable, new: BuiltTable) -> Iterator[str]:
    if old.name != new.name:
        yield f"name {old.name} -> {new.name}"
    if old.hash_key != new.hash_key:
        yield "another hash_key"
    if None not in (old.seed, new.seed) and old.seed != new.seed:
        yield "another seed"
    if old.rows.shape != new.rows.shape:
        yield f"depth {old.rows.shape[1]} -> {new.rows.shape[1]}"


def _backend_plan(before: Backend | None, after: Backend | None, share: BackendShare) -> BackendPlan:
    return BackendPlan(
        address=share.address,
        action=_action(before, after),
        before=before.state if before else None,
        after=after.state if after else None,
        changes=tuple(_changes(before, after)) if before and after else (),
        rows_before=share.before,
        rows_after=share.after,
        gained=share.gained,
        lost=share.lost,
    )


def _action(before: Backend | None, after: Backend | None) -> PlanAction:
    if before is None:
        return PlanAction.ADD
    if after is None:
        return PlanAction.REMOVE
    return PlanAction.KEEP if before == after else PlanAction.CHANGE


def _changes(before: Backend, after: Backend) -> Iterator[str]:
    """All differences except the state, which is a separate field."""
    for field in fields(Backend):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new or field.name == "state":
            continue
        yield f"other {field.name}" if is_dataclass(new) else f"{field.name} {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
