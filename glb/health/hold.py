# SPDX-License-Identifier: MIT
"""Fail open: when too many backends of a table fail at once, it is rather the checks that have failed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from glb.config.model import Address
from glb.health.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when a table's health is held, in seconds since 1970, and which failing backends are kept up."""

    since: float
    up: frozenset[Address]


def hold(
    verdicts: Mapping[Address, Verdict], share: float, window: float, before: Hold | None, judged: float
) -> Hold | None:
    """Whether health is held, given what the table's checks say of each backend that they decide.

    judged: when that was decided last, in seconds since 1970. A hold begins only with a backend that has failed since
    then, and at the time of the latest such failure, however late this is decided.

    Kept up is what has failed within `window` seconds before the hold began, or since: backends that fail together do
    not do so in the same instant. What was down before stays down. None if no more than `share` of them are down, or if
    none is to be kept up.
    """
    fell = {address: said.fell for address, said in verdicts.items() if said.checked and not said.up}
    if len(fell) <= share * len(verdicts):
        return None
    latest = max((when for when in fell.values() if when is not None), default=None)
    if before is None and (latest is None or latest < judged):
        return None
    since = before.since if before is not None else latest
    assert since is not None
    recent = {address for address, when in fell.items() if when is not None and when >= since - window}
    up = frozenset(recent) | (before.up if before is not None else frozenset())
    return Hold(since, up) if up else None
