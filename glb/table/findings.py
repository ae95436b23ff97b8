# SPDX-License-Identifier: MIT
"""Established connections during a change of tables: which are cut, why, and what to do instead."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from glb.config.model import Address, Bind, Proto
from glb.hashing.rendezvous import ROWS
from glb.table.bind_changes import BindChange, bind_changes
from glb.table.explanations import Explanation, explain_loss
from glb.table.lost_hops import lost_hops
from glb.table.model import BuiltTable


class PlanSeverity(StrEnum):
    """CUTS: connections of the rows are lost. MAY_CUT: older connections are lost, if any are still open.

    NOTE: no connection is lost; for information.
    """

    CUTS = "cuts"
    MAY_CUT = "may cut"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class PlanFinding:
    """One effect of a change. backend: None if it concerns the whole table. rows: how many of 65,536. binds: those
    whose connections are concerned."""

    severity: PlanSeverity
    table: str
    backend: Address | None
    rows: int
    reason: str
    remedy: str
    binds: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The table, and the backend if it concerns one."""
        return f"{self.table}: {self.backend}" if self.backend else self.table


BindOf = tuple[str, str]
"""The name of a table, and one of its binds as text."""


def find(
    old: Sequence[BuiltTable], new: Sequence[BuiltTable], unmatched: Collection[BindOf] = frozenset()
) -> tuple[PlanFinding, ...]:
    """The findings about a change of tables, the worst first.

    unmatched: binds of the old tables that no packet has matched, so no connection is lost with them.
    """
    flows = bind_changes(old, new)
    findings = [*_lost_binds(old, flows, unmatched), *_lost_hops(old, new, flows, unmatched)]
    order = list(PlanSeverity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def _lost_binds(
    old: Sequence[BuiltTable], flows: Sequence[BindChange], unmatched: Collection[BindOf]
) -> Iterator[PlanFinding]:
    """Flows that no longer match any bind."""
    for number, table in enumerate(old):
        gone = tuple(dict.fromkeys(str(flow.bind) for flow in flows if flow.before == number and flow.after is None))
        met = tuple(bind for bind in gone if (table.name, bind) not in unmatched)
        if met:
            reason = f"no table matches packets for {', '.join(met)} any more"
            remedy = "move its clients first, by DNS or routing, and remove the bind once it gets no packets"
            yield PlanFinding(PlanSeverity.CUTS, table.name, None, ROWS, reason, remedy, met)
        if without := tuple(bind for bind in gone if bind not in met):
            reason = f"no table matches packets for {', '.join(without)} any more; {_UNMATCHED.reason}"
            yield PlanFinding(PlanSeverity.NOTE, table.name, None, ROWS, reason, _UNMATCHED.remedy, without)


def _lost_hops(
    old: Sequence[BuiltTable], new: Sequence[BuiltTable], flows: Sequence[BindChange], unmatched: Collection[BindOf]
) -> Iterator[PlanFinding]:
    """Hops that the new rows of their flows do not contain."""
    binds: dict[tuple[int, int], list[Bind]] = {}
    for flow in flows:
        if flow.before is None or flow.after is None or (old[flow.before].name, str(flow.bind)) in unmatched:
            continue
        binds.setdefault((flow.before, flow.after), []).append(flow.bind)
    for (before, after), theirs in binds.items():
        yield from _in_rows(old[before], new[after], theirs)


def _in_rows(old: BuiltTable, new: BuiltTable, theirs: Sequence[Bind]) -> Iterator[PlanFinding]:
    label = old.name if old.name == new.name else f"{old.name} -> {new.name}"
    if old.has_rows_of(new):
        return
    binds = tuple(dict.fromkeys(map(str, theirs)))
    lost = lost_hops(old, new)
    certain, possible = lost.rows(lost.certain), lost.rows(lost.possible)
    for address, rows in certain.items():
        why = explain_loss(old, new, address, lost.newcomers(lost.certain, address))
        yield PlanFinding(PlanSeverity.CUTS, label, address, rows, why.reason, why.remedy, binds)
    for address in possible.keys() - certain.keys():
        why = explain_loss(old, new, address, lost.newcomers(lost.possible, address))
        yield PlanFinding(PlanSeverity.MAY_CUT, label, address, possible[address], why.reason, why.remedy, binds)
    moved = lost.moved
    if moved and any(bind.proto is Proto.UDP for bind in theirs):
        yield PlanFinding(PlanSeverity.NOTE, label, None, moved, _UDP.reason, _UDP.remedy, binds)
    if old.hash_key != new.hash_key and not certain:
        yield PlanFinding(PlanSeverity.NOTE, label, None, ROWS, _REHASHED.reason, _REHASHED.remedy, binds)


_UDP = Explanation(
    "UDP has no second chance: datagrams of rows that move are sent to another backend at once",
    "none needed where datagrams are independent, as in DNS",
)
_REHASHED = Explanation(
    "the hash key differs and all clients change rows, but all rows contain all serving backends",
    "none needed: a further hop finds each connection",
)
_UNMATCHED = Explanation(
    "the directors of this host have counted no packet for it since it was added",
    "directors on other hosts are not examined: check glb_director_bind_packets_total there",
)
