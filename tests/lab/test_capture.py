# SPDX-License-Identifier: MIT
"""`glbctl capture` and `glbctl trace` on a lab under traffic."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import PcapNgReader

from glb.capture.program import AttachPoint, load_capture_programs
from glb.datapath.inspection import open_attached
from glb.errors import CaptureError
from glb.lab import Lab, hosts
from glb.lab.events import Finished, Opened
from glb.lab.process import argv_in
from glb.scapy import GLBGUE
from tests.lab.helpers.commands import counts, drained, faults, fetch, glbctl
from tests.lab.helpers.kernel import plain, xdp_program

CLIENT = "198.18.0.7"
BOUND_S = 120


@contextmanager
def running(lab: Lab, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """glbctl on director1, from when it says that it captures; it is interrupted at the end, unless it has ended."""
    argv = argv_in(lab.namespace("director1"), ["glbctl", *arguments])
    with subprocess.Popen(argv, env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("capturing on"), said + process.stderr.read()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=BOUND_S)  # reads on: a full pipe would keep it from ending


def lines(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=BOUND_S)
    return [json.loads(line) for line in out.splitlines()]


def test_a_trace_shows_each_decision_on_a_path(lab: Lab) -> None:
    with running(lab, "trace", CLIENT, f"{hosts.VIP4}:80", "-o", "json") as process:
        proxy = fetch(lab, CLIENT)
        told = lines(process)

    [syn, taken, *_] = told
    assert (syn["program"], syn["verdict"], syn["packet"]["what"]) == ("director", "encapsulated", "SYN")
    assert syn["row"]["bind"] == f"{hosts.VIP4}:80/tcp"
    assert (taken["interface"], taken["verdict"]) == (proxy, "taken_syn")
    assert taken["decision"] == "taken_syn: a new connection: decapsulated here"
    assert {fact["host"] for fact in told} == {socket.gethostname()}
    assert syn["left_in"]["target"] == taken["came_in"]["target"]
    assert {fact["verdict"] for fact in told[2:]} == {"encapsulated", "taken_handshake", "taken_established"}
    assert plain(lab)


@pytest.mark.parametrize("command", [["trace", CLIENT], ["capture"]])
def test_a_capture_ends_when_its_output_is_closed(lab: Lab, command: list[str]) -> None:
    with running(lab, *command, "--iface", "proxy1") as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(BOUND_S)
    assert plain(lab)


def test_capture_into_a_file_needs_no_reader(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    with running(lab, "capture", f"client {CLIENT}", "-w", str(file)) as process:
        assert process.stdout is not None
        process.stdout.close()
        fetch(lab, CLIENT)
        process.send_signal(signal.SIGINT)
        process.wait(BOUND_S)
    assert len(list(PcapNgReader(str(file)))) > 2


def test_trace_ends_with_its_input_on_request(lab: Lab) -> None:
    done = glbctl(lab, "director1", "trace", CLIENT, "--until-eof", stdin="anything\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert plain(lab)


def test_a_trace_shows_the_second_chance(lab: Lab) -> None:
    """A connection that is there when its proxy is drained: the new first hop sends its packets on."""
    proxy = fetch(lab, CLIENT)
    one_slow_download = ("--client", CLIENT, "--count", "1", "--in-flight", "1", "--file", "4m", "--rate", "32k")
    with (
        lab.traffic("download", *one_slow_download) as traffic,
        running(lab, "trace", CLIENT, "-o", "json") as process,
    ):
        traffic.wait_for(lambda event: isinstance(event, Opened))
        with drained(lab, proxy):
            told = read(process)
            sent_on = next(fact for fact in told if fact["verdict"] == "forwarded")
            taken = sent_on
            while taken["verdict"] == "forwarded":  # from hop to hop
                taken = next(fact for fact in told if fact["came_in"] == taken["left_in"])

    assert sent_on["left_in"]["next_hop"] == 1
    assert sent_on["interface"] != proxy
    assert (taken["interface"], taken["verdict"]) == (proxy, "taken_established")


def read(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    """What is told, as it comes."""
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def test_a_capture_file_has_each_packet_before_and_after(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    with running(lab, "capture", f"client {CLIENT}", "-w", str(file)) as process:
        fetch(lab, CLIENT)
        lines(process)

    packets = list(PcapNgReader(str(file)))
    comments = [packet.comments[0].decode() for packet in packets]
    came, left = packets[0], packets[1]
    assert comments[0].startswith("director ")
    assert ": encapsulated: " in comments[0]
    assert GLBGUE not in came
    assert bytes(left[GLBGUE].payload) == bytes(came.payload)


def test_capturing_begins_and_ends_without_a_packet_lost(lab: Lab) -> None:
    with lab.traffic("spread", "--until-stopped", "--in-flight", "20", "--stall", "2") as traffic:
        traffic.wait_for(lambda event: isinstance(event, Finished))
        with running(lab, "capture", "--sample", "10", "--seconds", "1", "-o", "json") as process:
            process.communicate(timeout=BOUND_S)
        summary = traffic.stop()

    assert summary.requests > 0
    assert summary.flawless
    assert plain(lab)


def test_a_killed_capture_disturbs_nothing(lab: Lab) -> None:
    with running(lab, "capture", "-o", "json", "--iface", "proxy1") as process:
        process.kill()
        process.wait(BOUND_S)
    assert not plain(lab)
    assert fetch(lab, CLIENT)

    with running(lab, "capture", f"client {CLIENT}", "-o", "json") as process:
        fetch(lab, CLIENT)
        assert lines(process)
    assert plain(lab)


def test_a_restarted_daemon_replaces_a_killed_capture(lab: Lab) -> None:
    proxy = fetch(lab, CLIENT)
    with running(lab, "capture", "-o", "json", "--iface", proxy) as process:
        process.kill()
        process.wait(BOUND_S)
    taken = counts(lab)[proxy]["taken_established"]
    assert ("program", "error") not in faults(lab, proxy)

    lab.kill(proxy)
    lab.start_proxy(proxy)

    assert plain(lab)
    assert counts(lab)[proxy]["taken_established"] >= taken > 0


def test_a_program_attached_during_the_compile_stays(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLB_PIN_DIR", str(lab.pin_dir))
    with closing(AttachPoint("proxy1")) as point, closing(open_attached("proxy1")) as program:
        [capturing] = load_capture_programs([program])
        with closing(capturing), running(lab, "capture", "--iface", "proxy1"):
            there = xdp_program(lab, "proxy1")
            with pytest.raises(CaptureError, match="start the capture again"):
                point.attach(capturing)
            point.restore(capturing)
            assert xdp_program(lab, "proxy1") == there
    assert plain(lab)


AS_NOBODY = """
import os, sys
from contextlib import suppress
from glb.ctl import main

with suppress(SystemExit):
    main.run()
os.setgroups([])
os.setresuid(65534, 65534, 65534)
main.run()
"""
"""Nobody may not be allowed to read the folder that glb is in: by the first run, all is imported."""


IN_VIEW = 'mount --bind "$GLB_PIN_DIR" /mnt && GLB_PIN_DIR=/mnt exec "$@"'
"""The pins where everybody may look, by a mount of this command's own, whoever may list the BPF file system here."""


@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["may not list", "may list"])
@pytest.mark.parametrize("command", ["top --once", "stats", "proxy status"])
def test_user_without_permission_is_refused(lab: Lab, command: str, mode: int) -> None:
    lab.pin_dir.chmod(mode)
    as_nobody = [sys.executable, "-c", AS_NOBODY, *command.split()]
    done = subprocess.run(
        argv_in(lab.namespace("proxy1"), ["unshare", "--mount", "sh", "-c", IN_VIEW, "sh", *as_nobody]),
        env=lab.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND_S,
    )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "only root and members of the groups" in done.stderr


def test_invalid_filter_is_refused(lab: Lab) -> None:
    refused("capture", "host", "1.2.3.4", lab=lab, saying='"host" is not part of a filter')
    refused("capture", "--iface", "eth7", lab=lab, saying="no datapath is attached to eth7")


def refused(*arguments: str, lab: Lab, saying: str) -> None:
    done = glbctl(lab, "director1", *arguments)
    assert done.returncode != 0
    assert saying in done.stderr
