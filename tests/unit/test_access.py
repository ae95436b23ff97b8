# SPDX-License-Identifier: MIT
"""Who may read and who may change through a control socket, by real processes of other users and groups."""

import asyncio
import grp
import os
import socket
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from glb.control.access import Access
from glb.control.api import Api
from glb.control.connection_limits import ConnectionLimits
from glb.control.peer import Peer
from glb.control.routes import ApiRouter
from glb.control.server import ControlSocket, serve, serve_on
from glb.ctl.datapaths import sample_from
from glb.daemon.process import ProcessId
from glb.daemon.report import Report
from glb.errors import ControlError
from glb.metrics.rates import rates

VIEW, CHANGE, OTHER, USER = 60_001, 60_002, 60_003, 60_004
ACCESS = Access(changers=frozenset({CHANGE}), viewers=frozenset({VIEW}))

router = ApiRouter("access", prefix="")


@router.get("/state")
async def state() -> str:
    return "seen"


@router.post("/state")
async def change() -> str:
    return "changed"


API = Api("test", "", router.routes, failed=409)


@pytest.mark.parametrize(
    ("uid", "groups", "reads", "changes"),
    [
        (0, [], True, True),
        (USER, [VIEW], True, False),
        (USER, [CHANGE], True, True),
        (USER, [OTHER, CHANGE], True, True),
        (USER, [OTHER], False, False),
    ],
)
def test_rights_follow_user_and_groups(uid: int, groups: Sequence[int], reads: bool, changes: bool) -> None:
    peer = Peer(uid, frozenset(groups))
    assert (ACCESS.allows(peer, "GET"), ACCESS.allows(peer, "POST"), ACCESS.allows(peer, "PUT")) == (
        reads,
        changes,
        changes,
    )


def test_without_groups_the_socket_is_for_root_alone() -> None:
    assert Access().mode == 0o600
    assert not Access().allows(Peer(USER, frozenset({VIEW})), "GET")


def test_a_named_group_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(ControlError, match="there is no group no-such-group"):
        Access.of_groups("no-such-group", None)


def test_groups_are_found_by_name() -> None:
    named = Access.of_groups("daemon", "games")
    assert named.changers == {grp.getgrnam("daemon").gr_gid}
    assert named.viewers == {grp.getgrnam("games").gr_gid}


def curl(path: Path, method: str, groups: Sequence[int]) -> tuple[int, str]:
    """The status and the body that a process of USER with these further groups receives."""
    argv = ["curl", "-s", "-X", method, "-w", "\n%{http_code}", "--unix-socket", str(path), "http://glb/state"]
    done = subprocess.run(argv, user=USER, group=OTHER, extra_groups=groups, capture_output=True, text=True, timeout=20)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_server_checks_the_groups_of_each_request() -> None:
    async def requests(path: Path) -> list[tuple[int, str]]:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(API, ControlSocket(path, ACCESS), stop))
        cases = [(method, groups) for groups in ([VIEW], [CHANGE], []) for method in ("GET", "POST")]
        answers = [await asyncio.to_thread(curl, path, method, groups) for method, groups in cases]
        stop.set()
        await serving
        return answers

    answers = asyncio.run(requests(Path("/tmp") / f"glb-access-{os.getpid()}.sock"))
    assert [status for status, _ in answers] == [200, 403, 200, 200, 403, 403]
    assert "the group glb-admin may change" in answers[1][1]
    assert answers[3][1] == '"changed"'


def test_a_connection_by_tcp_has_no_user_and_is_refused() -> None:
    async def status() -> int:
        stop = asyncio.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        serving = asyncio.create_task(serve_on(API, [listener], stop, ConnectionLimits(), access=ACCESS))
        argv = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", f"http://127.0.0.1:{port}/state"]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, timeout=20)
        stop.set()
        await serving
        return int(done.stdout)

    assert asyncio.run(status()) == 403


def test_rates_are_the_same_through_the_daemon() -> None:
    report = Report(role="proxy", interface="eth0", process=ProcessId(1, 1), started="now")
    stats = {
        "packets": {"taken_syn": 10},
        "binds": [{"table": "web", "bind": "203.0.113.10:80/tcp", "packets": 3, "bytes": 300}],
        "backends": [{"table": "web", "backend": "10.0.0.11", "packets": 4, "bytes": 400}],
        "next_hops": [{"next_hop": "10.0.0.12", "packets": 5}],
    }
    before = sample_from(report, {**stats, "packets": {"taken_syn": 4}})
    sample = sample_from(report, stats)

    assert sample.traffic["bind", "web", "203.0.113.10:80/tcp"] == (3, 300)
    assert sample.traffic["backend", "web", "10.0.0.11"] == (4, 400)
    assert sample.forwards[IPv4Address("10.0.0.12")] == 5
    assert rates([before], [sample], 2.0).verdicts["proxy", "taken_syn"].packets == 3.0
