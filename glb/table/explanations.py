# SPDX-License-Identifier: MIT
"""Why rows lose a backend when tables change, and how to avoid that."""

from collections.abc import Sequence
from typing import NamedTuple

from glb.config.model import Address, Backend, State
from glb.table.model import BuiltTable

_SHOWN = 3


class Explanation(NamedTuple):
    """A sentence on the cause, and one on the remedy."""

    reason: str
    remedy: str


def explain_loss(old: BuiltTable, new: BuiltTable, address: Address, newcomers: Sequence[Address]) -> Explanation:
    """Why a backend of the old table is not in all the rows that its connections need.

    newcomers: the backends that entered the rows that it left. If several changes coincide, the first one that is
    sufficient is reported.
    """
    before, after = _serving(old), _serving(new)
    listed = {backend.address: backend for backend in new.backends}
    if address not in after:
        return _left(before[address], listed.get(address))
    if old.hash_key != new.hash_key:
        return Explanation(
            "the hash key differs: clients change rows, and not all rows contain this backend",
            "keep the hash key; a new one needs a new table, and clients that move to its binds by DNS",
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
            f"it {leaves} while it is draining and may still have connections",
            "wait until its last connection has closed",
        )
    return Explanation(
        f"it {leaves} while it is {before.state}{'' if before.healthy else ' (and unhealthy)'}, without a drain",
        "drain it first, and wait until its last connection has closed",
    )


def _changed_settings(old: BuiltTable, new: BuiltTable) -> Explanation | None:
    if None not in (old.seed, new.seed) and old.seed != new.seed:
        return Explanation(
            "the seed differs, so the backends of all rows change",
            "keep the seed; a new one needs a new table, and clients that move to its binds by DNS",
        )
    depths = old.rows.shape[1], new.rows.shape[1]
    if depths[1] < depths[0]:
        return Explanation(
            f"rows have {depths[1]} hops instead of {depths[0]}",
            "keep the depth, or lower it while no backend is draining or unhealthy",
        )
    return None


def _changed_ranks(before: dict[Address, Backend], after: dict[Address, Backend]) -> Explanation | None:
    common = before.keys() & after.keys()
    if any(before[address].weight != after[address].weight for address in common):
        return Explanation(
            "weights differ, so the order of backends in rows changes",
            "change weights in smaller steps, and wait in between until connections have moved",
        )
    if any(before[address].zone != after[address].zone for address in common):
        return Explanation(
            "zones differ, so backends of another zone replace the last hops of rows",
            "change zones while no backend is draining or unhealthy",
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
            f"{len(added)} backends are added at once ({_names(added)}), so rows of {depth} hops lose it",
            "add one at a time, and wait until connections have moved",
        )
    if added:
        return Explanation(
            f"{added[0]} is added, and rows of {depth} hops that also have draining, unhealthy or filling backends "
            "lose it",
            "wait until drains have finished and filling backends have their connections; then add it",
        )
    if after[address].available:
        return Explanation(
            "it replaces hops that could take no connection, and leaves the rows when these return",
            "wait until its connections have closed; drain fewer backends at once",
        )
    return Explanation(
        f"all {depth} hops of rows would be draining or unhealthy, so another backend replaces it",
        "wait until another drain has finished, or activate another of these backends",
    )


def _names(addresses: Sequence[Address]) -> str:
    shown = ", ".join(str(address) for address in addresses[:_SHOWN])
    return shown if len(addresses) <= _SHOWN else f"{shown} and {len(addresses) - _SHOWN} more"
