# SPDX-License-Identifier: MIT
"""Live connections while directors, their daemons and the router come and go: how many are cut, how long any waits."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Any

from bench.progress import Progress
from glb.config.edit import Action
from glb.config.json_files import edit_file
from glb.lab.lab import Lab
from glb.lab.live_client import INTERVAL_S
from glb.lab.live_connections import LiveConnections
from glb.lab.routing import BFD_INTERVAL_MS, BFD_MULTIPLIER, LabRouting, LabSpeaker

THOROUGH, QUICK = 300, 50
_HOLD_SECONDS = 3
_LATE_SECONDS = 5
_AFTERWARDS_SECONDS = 3.0  # that an event is watched for after it has happened
_THREE = ("director1", "director2", "director3")

Event = Callable[[Lab], None]


def run(connections: int, progress: Progress) -> dict[str, Any]:
    """Measure in labs of their own, which are gone afterwards: with BFD, and without."""
    bfd_ms = BFD_INTERVAL_MS * BFD_MULTIPLIER
    with_bfd: dict[str, Event] = {
        "nothing": lambda lab: None,
        "a director is added": _add,
        "a planned stop of a director": _stop,
        "its start": _start,
        "kill -9 of a director's daemon, and its restart": _kill_daemon,
        "rolling upgrade of all directors": _upgrade,
        "restart of the router's BGP, graceful": _restart_router,
        f"a backend drains, one director {_LATE_SECONDS} s late, another restarts": _late,
        f"a director's machine dies, BFD of {bfd_ms} ms": _die,
    }
    events = _measure(LabRouting(), with_bfd, connections, progress)
    slow: dict[str, Event] = {f"a director's machine dies, no BFD, hold time {_HOLD_SECONDS} s": _die}
    for speaker in LabSpeaker:
        named = {f"{name}, {speaker}": event for name, event in slow.items()}
        events |= _measure(LabRouting(speaker, bfd=False, hold_time=_HOLD_SECONDS), named, connections, progress)
    cut = sum(event["cut"] for event in events.values())
    bar = {"what": "connections cut, all events", "value": cut, "limit": 0, "met": cut == 0}
    return {"connections": connections, "pulse_seconds": INTERVAL_S, "events": events, "bars": [bar]}


def _measure(how: LabRouting, events: Mapping[str, Event], connections: int, progress: Progress) -> dict[str, Any]:
    directors = 2 if how.bfd else 3  # with BFD, the third is added
    with (
        Lab.up(f"bench-{os.getpid()}", owned=True, directors=directors, routing=how) as lab,
        lab.live_connections(connections) as live,
    ):
        return {name: _experience(lab, live, name, event, progress) for name, event in events.items()}


def _experience(lab: Lab, live: LiveConnections, name: str, event: Event, progress: Progress) -> dict[str, Any]:
    progress(f"routing: {name}")
    with live.during() as seen:
        event(lab)
        time.sleep(_AFTERWARDS_SECONDS)
    return {"connections": seen.connections, "cut": len(seen.cut), "stall_seconds": seen.stall}


def _add(lab: Lab) -> None:
    lab.add_director()
    lab.wait_until_announced(_THREE)


def _stop(lab: Lab) -> None:
    lab.stop("director1")


def _start(lab: Lab) -> None:
    lab.start_director("director1")
    lab.wait_until_announced(_THREE)


def _kill_daemon(lab: Lab) -> None:
    lab.kill("director1")
    time.sleep(_AFTERWARDS_SECONDS)
    lab.start_director("director1")


def _upgrade(lab: Lab) -> None:
    for director in _THREE:
        lab.stop(director)
        lab.start_director(director)
        lab.wait_until_announced(_THREE)


def _restart_router(lab: Lab) -> None:
    lab.restart_router()
    time.sleep(_AFTERWARDS_SECONDS)
    lab.wait_until_announced(_THREE)


def _late(lab: Lab) -> None:
    """The late director's daemon is stopped, so that it does not see the change of the file."""
    late = lab.process_id("director2")
    draining = lab.host("proxy1").addresses[0].ip
    assert isinstance(draining, IPv4Address)
    late.send(signal.SIGSTOP)
    edit_file(lab.table_path, Action.DRAIN, draining)
    lab.stop("director1")
    lab.start_director("director1")
    time.sleep(_LATE_SECONDS)
    late.send(signal.SIGCONT)
    lab.wait_until_announced(_THREE)
    edit_file(lab.table_path, Action.ACTIVATE, draining)


def _die(lab: Lab) -> None:
    lab.remove_director("director3")
    lab.wait_until_announced(("director1", "director2"))
