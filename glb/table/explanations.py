# SPDX-License-Identifier: MIT
"""Why rows lose a backend when tables change, and how the same is reached without."""

from collections.abc import Sequence
from typing import NamedTuple

from glb.config.model import Address, Backend, State
from glb.table.model import BuiltTable

_SHOWN = 3


class Explanation(NamedTuple):
    """One sentence each."""

    reason: str
    remedy: str


def explain_loss(old: BuiltTable, new: BuiltTable, address: Address, newcomers: Sequence[Address]) -> Explanation:
    """Why a backend of the old table is not in all the rows that its connections need.

    newcomers: the backends that came into the rows which it is lost from. Where several changes come together, the one
    is told that alone would have been enough.
    """
    before, after = _serving(old), _serving(new)
    listed = {backend.address: backend for backend in new.backends}
    if address not in after:
        return _left(before[address], listed.get(address))
    if old.hash_key != new.hash_key:
        return Explanation(
            "the hash key is another: clients change rows, and not all rows have this backend",
            "keep the hash key; a new one needs a new table, and clients that go over to its binds by DNS",
        )
    return (
        _changed_settings(old, new)
        or _changed_ranks(before, after)
        or _pushed_out(before, after, address, newcomers, new.rows.shape[1])
    )


def _serving(table: BuiltTable) -> dict[Address, Backend]:
    return {backend.address: backend for backend in table.backends if backend.state is not State.INACTIVE}


def _left(before: Backend, after: Backend | None) -> Explanation:
    leaves = "is removed" if after is None else "becomes inactive"
    if before.state is State.DRAINING:
        return Explanation(
            f"it {leaves} while it drains, and may still have connections",
            "wait until its last connection has ended",
        )
    return Explanation(
        f"it {leaves} while it is {before.state}{'' if before.healthy else ' (and unhealthy)'}, without a drain",
        "drain it first, and wait until its last connection has ended",
    )


def _changed_settings(old: BuiltTable, new: BuiltTable) -> Explanation | None:
    if None not in (old.seed, new.seed) and old.seed != new.seed:
        return Explanation(
            "the seed is another, so all rows get other backends",
            "keep the seed; a new one needs a new table, and clients that go over to its binds by DNS",
        )
    depths = old.rows.shape[1], new.rows.shape[1]
    if depths[1] < depths[0]:
        return Explanation(
            f"rows have {depths[1]} hops instead of {depths[0]}",
            "keep the depth, or lower it when no backend drains or is unhealthy",
        )
    return None


def _changed_ranks(before: dict[Address, Backend], after: dict[Address, Backend]) -> Explanation | None:
    common = before.keys() & after.keys()
    if any(before[address].weight != after[address].weight for address in common):
        return Explanation(
            "weights are others, so backends pass one another in the rows",
            "change weights in smaller steps, and wait in between until connections have moved",
        )
    if any(before[address].zone != after[address].zone for address in common):
        return Explanation(
            "zones are others, so the last hops of rows give way to backends of another zone",
            "change zones when no backend drains or is unhealthy",
        )
    return None


def _pushed_out(
    before: dict[Address, Backend],
    after: dict[Address, Backend],
    address: Address,
    newcomers: Sequence[Address],
    depth: int,
) -> Explanation:
    added = [newcomer for newcomer in newcomers if newcomer not in before]
    if len(added) > 1:
        return Explanation(
            f"{len(added)} backends are added at once ({_names(added)}): too many for rows of {depth} hops to keep it",
            "add one at a time, and wait until connections have moved",
        )
    if added:
        return Explanation(
            f"{added[0]} is added, and rows of {depth} hops that also have draining, unhealthy or filling backends "
            "have no room left for it",
            "wait until drains are over, and until connections have moved to what is filling; then add it",
        )
    if after[address].available:
        return Explanation(
            "it stands in for rows whose own hops could take no connection, and goes out of them as these come back",
            "wait until its connections have ended; let fewer backends drain or fail at once",
        )
    return Explanation(
        f"all {depth} hops of rows would drain or be unhealthy, and what stands in for them takes its place",
        "wait until another drain is over, or make another of these backends active again",
    )


def _names(addresses: Sequence[Address]) -> str:
    shown = ", ".join(str(address) for address in addresses[:_SHOWN])
    return shown if len(addresses) <= _SHOWN else f"{shown} and {len(addresses) - _SHOWN} more"
