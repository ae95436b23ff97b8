# SPDX-License-Identifier: MIT
"""`glbctl trace --host`: one story of several hosts, each traced by a real ssh, each with its own datapath alone."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from threading import Timer

import pytest

from glb.lab import Lab, hosts
from glb.lab.process import argv_in
from tests.lab.helpers.commands import fetch
from tests.lab.helpers.kernel import plain
from tests.lab.helpers.packets import wait_for
from tests.lab.helpers.ssh import COMMANDS, Ssh, no_view, own_view, serving

CLIENT = "198.18.0.7"
DIRECTORS = ("director1", "director2")
DATAPATHS = (*DIRECTORS, "proxy1", "proxy2", "proxy3")
OPERATOR = "router"
NOWHERE = "10.77.0.250"
BOUND_S = 300  # five captures begin at the same time

OLDER = f"""#!{sys.executable}
from typing import Annotated
import typer

app = typer.Typer()

@app.command()
def trace(source: str, output: Annotated[str, typer.Option("--output", "-o")]) -> None: ...

@app.command()
def capture() -> None: ...

app()
"""
"""A glbctl whose trace does not know --until-eof."""


@pytest.fixture(scope="module")
def ssh(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    with serving(lab, tmp_path_factory.mktemp("ssh")) as ssh:
        yield ssh


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a host that has no datapath."""
    return no_view(lab, tmp_path_factory.mktemp("operator"))


class Tracing:
    """A trace that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._said: list[str] = []

    def expect(self, *wanted: str) -> str:
        """Wait until standard error has had a line that begins with each of these; all that it has said."""
        assert self.process.stderr is not None
        while not all(any(line.startswith(words) for line in self._said) for words in wanted):
            line = self.process.stderr.readline()
            assert line, f"{wanted}: {self._said}"
            self._said.append(line)
        return "".join(self._said)

    def interrupt(self) -> tuple[list[str], str]:
        """The lines of standard output, and all that is said, when Ctrl-C has been pressed."""
        self.process.send_signal(signal.SIGINT)
        out, said = self.process.communicate(timeout=BOUND_S)
        return out.splitlines(), "".join(self._said) + said


@contextmanager
def tracing(
    lab: Lab,
    ssh: Ssh,
    env: Mapping[str, str],
    *arguments: str,
    here: str = OPERATOR,
    traced: tuple[str, ...] = DATAPATHS,
) -> Iterator[Tracing]:
    """glbctl trace on a host, started when all traced hosts capture, killed at the end."""
    command = ["glbctl", "trace", CLIENT, f"{hosts.VIP4}:80", "--ssh", ssh.command, *arguments]
    command += [word for host in traced for word in ("--host", host)]
    argv = argv_in(lab.namespace(here), command)
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watchdog = Timer(BOUND_S, process.kill)
        watchdog.start()
        try:
            trace = Tracing(process)
            trace.expect(*(f"{host}: capturing on {host}\n" for host in traced))
            yield trace
        finally:
            watchdog.cancel()
            process.kill()


def test_the_hosts_events_are_merged_packet_by_packet(lab: Lab, ssh: Ssh, operator: dict[str, str]) -> None:
    with tracing(lab, ssh, operator, "-o", "json") as trace:
        proxy = fetch(lab, CLIENT)
        out, said = trace.interrupt()

    events = [json.loads(line) for line in out]
    assert [events[0]["verdict"], events[1]["verdict"]] == ["encapsulated", "taken_syn"]
    assert events[0]["row"]["bind"] == f"{hosts.VIP4}:80/tcp"
    assert events[1]["host"] == proxy
    assert all(event["host"] == event["interface"] for event in events), "each host reports only its own datapath"
    paths = [list(path) for _, path in groupby(events, lambda event: event["packet"]["digest"])]
    assert {tuple(event["program"] for event in path) for path in paths} == {("director", "proxy")}
    assert all(director["left_in"] == taken["came_in"] for director, taken in paths)
    assert f"{proxy}: {len(paths)} packets\n" in said
    assert trace.process.returncode == 0
    assert plain(lab)


def test_this_hosts_datapaths_are_traced_with_the_others(lab: Lab, ssh: Ssh, tmp_path: Path) -> None:
    env = lab.env | own_view(lab, "director1", tmp_path)
    this = socket.gethostname()
    with tracing(lab, ssh, env, here="director1", traced=DATAPATHS[1:]) as trace:
        trace.expect(f"{this}: capturing on director1\n")
        proxy = fetch(lab, CLIENT)
        out, _ = trace.interrupt()

    places = [line.split("  ")[0].partition(" ")[2] for line in out if not line.startswith(" ")]
    assert places[0] in (f"{this} director1", "director2 director2")
    assert places[1] == f"{proxy} {proxy}"
    assert trace.process.returncode == 0
    assert plain(lab)


def test_an_unreachable_host_is_reported_and_others_continue(
    lab: Lab, ssh: Ssh, operator: dict[str, str], tmp_path: Path
) -> None:
    older = tmp_path / "glbctl"
    older.write_text(OLDER)
    older.chmod(0o755)
    ssh.start("router", {"PATH": COMMANDS})
    ssh.start("client", {"PATH": f"{tmp_path}:{COMMANDS}"})
    ssh.name("refusing", "10.77.0.1", port=2222)
    wrong = [word for host in (NOWHERE, "refusing", "router", "client") for word in ("--host", host)]

    with tracing(lab, ssh, operator, *wrong, "-o", "json", traced=DIRECTORS) as trace:
        trace.expect(
            f'{{"detail": "{NOWHERE}: ssh failed: ssh: connect to host {NOWHERE} port 22: No route to host',
            '{"detail": "refusing: ssh failed: ssh: connect to host 10.77.0.1 port 2222: Connection refused',
            '{"detail": "router: glbctl was not found there (set --remote-glbctl): ',
            '{"detail": "client: its glbctl is older than this one: No such option: --until-eof',
        )
        fetch(lab, CLIENT)
        out, _ = trace.interrupt()

    assert {json.loads(line)["verdict"] for line in out} == {"encapsulated"}
    assert trace.process.returncode == 1


def test_a_trace_that_ends_early_is_reported(lab: Lab, ssh: Ssh, operator: dict[str, str]) -> None:
    """One because its datapath is detached, one because its connection is cut."""
    gone = ("director2", "proxy3")
    with tracing(lab, ssh, operator, traced=("director1", "proxy1", *gone)) as trace:
        ssh.disconnect("director2")
        trace.expect("error: director2: ssh failed: ")
        lab.stop("proxy3")
        try:
            trace.expect("error: proxy3: its trace ended early (exit status 1): proxy3: the capture has")
        finally:
            lab.start_proxy("proxy3")
        _, said = trace.interrupt()

    assert re.search(r"^director1: \d+ packets$", said, re.MULTILINE)
    assert re.search(r"^proxy1: \d+ packets$", said, re.MULTILINE)
    assert trace.process.returncode == 1
    wait_for(lambda: plain(lab), "the trace whose connection was cut ends")


@pytest.mark.parametrize("how", ["killed", "unread"])
def test_all_traces_end_with_the_one_that_started_them(lab: Lab, ssh: Ssh, operator: dict[str, str], how: str) -> None:
    with tracing(lab, ssh, operator, traced=("director1", "proxy1")) as trace:
        assert not plain(lab)
        if how == "killed":
            trace.process.kill()
        else:
            assert trace.process.stdout is not None
            trace.process.stdout.close()
        trace.process.wait(BOUND_S)

    wait_for(lambda: plain(lab), "the traces on the other hosts end")


def test_traces_end_after_the_given_time_or_packets(lab: Lab, ssh: Ssh, operator: dict[str, str]) -> None:
    with tracing(lab, ssh, operator, "--seconds", "1", traced=("director1",)) as trace:
        trace.process.communicate(timeout=BOUND_S)
    assert trace.process.returncode == 0

    with tracing(lab, ssh, operator, "--count", "3", "-o", "json", traced=DIRECTORS) as trace:
        fetch(lab, CLIENT)
        out, _ = trace.process.communicate(timeout=BOUND_S)
    assert (len(out.splitlines()), trace.process.returncode) == (3, 0)
    assert plain(lab)
