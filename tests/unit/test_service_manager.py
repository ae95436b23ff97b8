# SPDX-License-Identifier: MIT
"""The watchdog, and what a stop by the service manager means."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glb.daemon.lane import Lane
from glb.daemon.lifecycle import Ending
from glb.daemon.service_manager import (
    UNIT_VARIABLE,
    feed_watchdog,
    is_restarted,
    keeps_datapath,
    request_stop_time,
    watchdog_seconds,
)

UNIT = "glb-director@eth0.service"
OTHER = "glb-director@eth1.service"
BOUND_S = 10.0


def jobs(unit: str, kind: str) -> str:
    """As systemd 252 prints them."""
    return f"711 dev-vda.device start waiting\n712 {unit} {kind} running\n"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_fed_if_it_wants_this_process(environment: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environment, 77) == seconds


@pytest.mark.parametrize(
    ("listed", "restarted"),
    [
        ("", False),
        (jobs(UNIT, "stop"), False),
        (jobs(UNIT, "restart"), True),
        (jobs(UNIT, "try-restart"), True),
        (jobs(OTHER, "restart"), False),
    ],
)
def test_restart_is_known_by_its_job(listed: str, restarted: bool) -> None:
    assert is_restarted(UNIT, listed) is restarted


@pytest.mark.parametrize("listed", ["No jobs running.", "[]", "JOB UNIT TYPE STATE"])
def test_what_is_no_list_of_jobs_is_an_error(listed: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        is_restarted(UNIT, listed)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a `systemctl` of these lines of shell: there is no systemd where tests run."""

    def make(lines: str) -> None:
        command = tmp_path / "systemctl"
        command.write_text(f"#!/bin/sh\n{lines}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return make


def test_without_a_unit_a_stop_detaches() -> None:
    assert not asyncio.run(keeps_datapath(None))


@pytest.mark.parametrize(("kind", "keeps"), [("restart", True), ("stop", False)])
def test_restart_keeps_the_datapath_and_stop_does_not(systemctl: Callable[[str], None], kind: str, keeps: bool) -> None:
    systemctl(f"cat <<'END'\n{jobs(UNIT, kind)}END")
    assert asyncio.run(keeps_datapath(UNIT)) is keeps


@pytest.mark.parametrize("lines", ["exit 1", "echo nonsense", "exec sleep 60"])
def test_datapath_stays_if_systemd_does_not_answer(
    systemctl: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    monkeypatch.setattr("glb.daemon.service_manager._QUERY_SECONDS", 0.5)
    systemctl(lines)
    assert asyncio.run(keeps_datapath(UNIT))


def test_stop_begins_once_it_is_known_what_it_means(
    systemctl: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UNIT_VARIABLE, UNIT)
    systemctl(f"cat <<'END'\n{jobs(UNIT, 'restart')}END")

    async def stop() -> bool:
        ending = Ending(keep=False)
        ending.request()
        ending.request()
        assert not ending.stop.is_set()
        await asyncio.wait_for(ending.stop.wait(), BOUND_S)
        return ending.keep

    assert asyncio.run(stop())


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What listens where sd_notify(3) sends to; its watchdog's period is 0.3 s."""
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(BOUND_S)
        yield listener


async def fed(lane: Lane, seconds: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await feed_watchdog(lane, stop)


def test_watchdog_is_fed_while_traffic_is_served(manager: socket.socket) -> None:
    asyncio.run(fed(Lane("traffic"), 0.35))
    manager.setblocking(False)
    assert [manager.recv(64) for _ in range(3)] == [b"WATCHDOG=1"] * 3


def test_watchdog_is_not_fed_while_the_traffic_lane_hangs(manager: socket.socket) -> None:
    lane, freed = Lane("traffic"), threading.Event()
    lane.post("a job that hangs", freed.wait)
    asyncio.run(fed(lane, 0.5))
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(64)
    freed.set()
    asyncio.run(fed(lane, 0.1))
    assert manager.recv(64) == b"WATCHDOG=1"


def test_stop_may_take_as_long_as_a_drain(manager: socket.socket) -> None:
    request_stop_time(45.0)
    assert manager.recv(64) == b"EXTEND_TIMEOUT_USEC=45000000"
