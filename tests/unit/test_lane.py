# SPDX-License-Identifier: MIT
"""Lanes do one thing after the other, and none waits for another."""

import asyncio
import logging
import threading
import time

import pytest

from glb.daemon.lane import Lane, Worker
from glb.errors import GlbError, LaneClosedError

BOUND_S = 10.0


@pytest.fixture
def lane() -> Lane:
    return Lane("test")


def test_actions_are_done_one_after_the_other_in_their_order(lane: Lane) -> None:
    done: list[int] = []
    for number in range(100):
        lane.post("count", lambda number=number: done.append(number))

    assert lane.flush(BOUND_S)
    assert done == list(range(100))


def test_a_result_and_an_error_reach_the_caller(lane: Lane) -> None:
    assert lane.call("sum", lambda: 1 + 1) == 2
    with pytest.raises(GlbError, match="no"):
        lane.call("refusal", lambda: _raise(GlbError("no")))
    assert asyncio.run(lane.run("sum", lambda: 3)) == 3


def test_a_queued_action_is_not_queued_twice(lane: Lane) -> None:
    done: list[str] = []
    gate = threading.Event()
    worker = Worker(lane, done)
    lane.post("wait", gate.wait)
    for _ in range(5):
        worker.post_once("note", _note)
    gate.set()
    assert lane.flush(BOUND_S)
    worker.post_once("note", _note)
    assert lane.flush(BOUND_S)

    assert done == ["done", "done"]


def test_an_error_of_a_posted_action_is_logged(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    lane.post("a step", lambda: _raise(GlbError("what is wrong")))
    lane.post("another step", lambda: _raise(KeyError("unforeseen")))
    lane.flush(BOUND_S)

    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert messages == ["a step: not done: what is wrong", "another step: internal error"]


def test_the_current_action_is_known_with_its_start(lane: Lane) -> None:
    gate, begun = threading.Event(), threading.Event()
    before = time.monotonic()
    lane.post("long work", lambda: (begun.set(), gate.wait()))
    assert begun.wait(BOUND_S)

    running = lane.running
    gate.set()
    assert running is not None
    assert running.what == "long work"
    assert before <= running.since <= time.monotonic()
    assert lane.flush(BOUND_S)
    assert lane.call("look", lambda: lane.running) is not None


def test_a_closed_lane_drops_queued_actions_and_waits_a_limit(lane: Lane) -> None:
    gate, begun = threading.Event(), threading.Event()
    lane.post("a hang", lambda: (begun.set(), gate.wait()))
    waiting = lane.submit("later", lambda: 1)
    assert begun.wait(BOUND_S)

    assert not lane.close(0.05)
    gate.set()
    with pytest.raises(LaneClosedError, match="later: the daemon is stopping"):
        waiting.result(BOUND_S)
    with pytest.raises(LaneClosedError):
        lane.call("too late", lambda: 1)
    assert lane.close(BOUND_S)


def _note(done: list[str]) -> None:
    done.append("done")


def _raise(error: Exception) -> None:
    raise error
