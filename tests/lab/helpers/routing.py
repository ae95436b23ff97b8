# SPDX-License-Identifier: MIT
"""Directors that announce the VIPs themselves, under live connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from glb.lab import Lab
from glb.lab.live_connections import LiveConnections
from tests.lab.helpers.commands import facts
from tests.lab.helpers.packets import wait_for

BOTH = {"director1", "director2"}
_BOUND_S = 60.0
_NOTICEABLE_S = 20.0  # a stall that is none of the events' doing: far above theirs, since the machine may be busy


@contextmanager
def nothing_cut(live: LiveConnections) -> Iterator[None]:
    """Whatever happens in the block, all live connections go on."""
    with live.during() as seen:
        yield
    assert seen.cut == ()
    assert seen.connections >= live.connections
    assert seen.stall < _NOTICEABLE_S


def routing_of(lab: Lab, director: str) -> Any:
    """What `glbctl director status` says of a director's routing."""
    return facts(lab, director, "director", "status", "--iface", director)[0]["routing"]


def wait_for_sessions(lab: Lab, *directors: str) -> None:
    """Until the sessions of both families are established."""

    def established() -> bool:
        found = [routing_of(lab, director) for director in directors]
        states = [session["state"] for routing in found if routing for session in routing["sessions"]]
        return states == ["established"] * 2 * len(directors)

    wait_for(established, f"the sessions of {', '.join(directors)}", _BOUND_S)
