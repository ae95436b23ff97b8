# SPDX-License-Identifier: MIT
"""A director under traffic, while all kinds of things around it fail. Each fault and its name: docs/faults.md."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import cycle
from mmap import PROT_READ, mmap
from pathlib import Path

import pytest
from pyroute2 import IPRoute
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from glb.config.json_files import load_tables
from glb.control.client import Client
from glb.datapath import libbpf, pass_program
from glb.datapath.kernel import link_info, map_info
from glb.lab import Lab, hosts
from glb.lab.process import argv_in
from tests.conftest import unique_name
from tests.lab.helpers.cables import plug_in_again, unplug
from tests.lab.helpers.choices import check_stream, choice_of, choices
from tests.lab.helpers.commands import glbctl
from tests.lab.helpers.director import HOST, Director, replace, table
from tests.lab.helpers.fated import ANOTHER_VERSION
from tests.lab.helpers.kernel import pinned_id, without_room, xdp_program
from tests.lab.helpers.packets import Sender, received, tunnel_of, wait_for
from tests.lab.helpers.stream import Stream

PORTS = (53, 5300, 5301)
CLIENTS = 12
ICMP = 1
DRAINED = "10.77.0.101"
# Each proxy is in one of them only, so that a mixture would show in the hops.
TABLE_A = [table("a", (53, 5300), ("10.77.0.101", "10.77.0.102"))]
TABLE_B = [table("b", (53, 5301), ("10.77.0.103", "10.77.0.104"), hash_key="b" * 32)]


@pytest.fixture(scope="module")
def network() -> Iterator[Lab]:
    """A lab in which nothing of glb runs; each backend of the tables is there."""
    with Lab.up(unique_name(), owned=True, daemons=False, directors=1, proxies=4) as lab:
        yield lab


@pytest.fixture
def director(network: Lab, tmp_path: Path) -> Iterator[Director]:
    """A director that is not started yet; its table file holds TABLE_A. What it leaves, the next test's takes over."""
    director = Director(network, tmp_path / "forwarding_table.json")
    replace(director.table, *TABLE_A)
    yield director
    director.stop(signal.SIGKILL)
    (network.run_dir / f"{HOST}.status.json").unlink(missing_ok=True)


def pins(lab: Lab) -> Path:
    return lab.pin_dir / HOST


KILLED_IN_A_RELOAD = [
    "before:glb.director.sources:plan",  # tables are read and built, and not laid out yet
    "before:glb.datapath.director:DirectorDatapath._fill",
    "after:glb.datapath.director:DirectorDatapath._write_rows",
    "after:glb.datapath.generation:Assignment.mark",  # all is written, and not switched yet
    "before:glb.datapath.director:wait_for_grace_period",  # just switched
    "before:glb.director.director:Director._in_use",  # the report tells of the table before
]
KILLED_IN_A_START = [
    "before:glb.datapath.program:adopt",
    "after:glb.datapath.director:DirectorDatapath._fill",
    "after:glb.datapath.director:DirectorDatapath.write",
    "after:glb.datapath.attachment:Attachment.put",
]


KILLED_IN_A_CHANGE = [
    "after:glb.director.changes:_write",  # the file is edited, and not loaded
    "after:glb.director.controller:Controller.reload",  # loaded, and not answered yet
]


@pytest.mark.slow
def test_kill_during_an_edit_leaves_a_complete_file(
    director: Director,
) -> None:
    lab, table = director.lab, str(director.table)
    director.start()
    director.stop(signal.SIGKILL)
    as_drained = {}
    with Stream(lab, PORTS, CLIENTS) as stream:
        as_active = choices(director, stream)
        for fate in KILLED_IN_A_CHANGE:
            director.start(fate=fate)
            with director.armed():
                killed = glbctl(lab, HOST, "backend", "drain", table, DRAINED)
                director.wait_until_dead()
            assert killed.returncode == 1
            assert "the daemon ended before it answered" in killed.stderr, fate
            assert "may have been done" in killed.stderr
            assert state_in_file(director) == "draining", fate
            refused = glbctl(lab, HOST, "backend", "activate", table, DRAINED)
            assert (refused.returncode, state_in_file(director)) == (1, "draining")
            assert "its datapath is attached" in refused.stderr

            director.start()
            assert director.report.tables[0].backends[DRAINED] == "draining"
            as_drained = as_drained or choices(director, stream)
            assert glbctl(lab, HOST, "backend", "activate", table, DRAINED).returncode == 0
            stream.wait_for_rounds(1)
            director.stop(signal.SIGKILL)
    check_stream(stream.tunnelled, stream.passed, as_active, as_drained)


GLBCTL_KILLED = {  # and what the director then has
    "after:glb.ctl.edits:_require_clearance": "active",  # planned by the director
    "before:glb.ctl.edits:await_reload": "draining",  # changed by the director
}


def test_a_glbctl_killed_in_a_change_leaves_all_of_it_or_nothing(director: Director) -> None:
    lab, table = director.lab, str(director.table)
    director.start()
    for fate, state in GLBCTL_KILLED.items():
        kill_glbctl(director, fate)
        assert (state_in_file(director), director.report.tables[0].backends[DRAINED]) == (state, state), fate
        assert glbctl(lab, HOST, "backend", "drain", table, DRAINED).returncode == 0
        assert glbctl(lab, HOST, "backend", "activate", table, DRAINED).returncode == 0


@pytest.mark.parametrize(
    ("fate", "state"),
    [
        ("after:glb.files:_write_new", "active"),  # the new content is written beside the file
        ("after:glb.config.json_files:replace_file", "draining"),
    ],
)
def test_killed_glbctl_leaves_a_complete_file(director: Director, fate: str, state: str) -> None:
    kill_glbctl(director, fate)

    assert state_in_file(director) == state
    assert glbctl(director.lab, HOST, "backend", "drain", str(director.table), DRAINED).returncode == 0
    director.start()
    assert director.report.tables[0].backends[DRAINED] == "draining"


def kill_glbctl(director: Director, fate: str) -> None:
    command = ["glbctl", "backend", "drain", str(director.table), DRAINED]
    argv = argv_in(director.lab.namespace(HOST), director.fated(fate, command))
    with director.armed():
        ended = subprocess.run(argv, env=director.env, capture_output=True, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def state_in_file(director: Director) -> str:
    [table] = load_tables(director.table).tables
    return next(backend.state for backend in table.backends if str(backend.address) == DRAINED)


@pytest.mark.slow
def test_kill_at_any_point_loses_no_packet(
    director: Director,
) -> None:
    director.start()
    link, program = (pinned_id(pins(director.lab) / name) for name in ("link", "program"))
    later = cycle([TABLE_B, TABLE_A])
    with Stream(director.lab, PORTS, CLIENTS) as stream:
        as_a = choices(director, stream)
        director.stop(signal.SIGKILL)
        for fate in KILLED_IN_A_RELOAD:
            director.start(fate=fate)
            with director.armed():
                replace(director.table, *next(later))
                director.wait_until_dead()
            stream.wait_for_rounds(1)
        replace(director.table, *TABLE_B)  # A is in force
        for fate in KILLED_IN_A_START:
            director.start_and_die(fate)
            stream.wait_for_rounds(1)
        director.start()
        stream.wait_for_rounds(1)

    as_b = choices(director, stream)
    check_stream(stream.tunnelled, stream.passed, as_a, as_b)
    last = stream.tunnelled[-1]
    assert choice_of(last) == as_b[last.inner.flow]
    assert [pinned_id(pins(director.lab) / name) for name in ("link", "program")] == [link, program]


def test_next_start_finds_an_intact_datapath(director: Director) -> None:
    director.start()
    director.stop(signal.SIGKILL)
    before = map_bytes(director.lab)

    director.start()

    assert map_bytes(director.lab) == before
    assert "adopted the attached program, whose tables are up to date" in director.log.read_text()


def map_bytes(lab: Lab) -> dict[str, bytes]:
    """What the maps hold that a table is written into."""
    return {name: map_memory(pins(lab) / name) for name in ("state", "binds", "rows", "ranges", "contents")}


def map_memory(pin: Path) -> bytes:
    fd = libbpf.open_pin(pin)
    try:
        info = map_info(fd)
        with mmap(fd, info.entries * -(-info.value_size // 8) * 8, prot=PROT_READ) as memory:
            return memory[:]
    finally:
        os.close(fd)


def test_an_interface_that_returns_with_another_mac_is_served(
    director: Director,
) -> None:
    director.start()
    lab = director.lab
    unplug(lab, HOST)
    director.wait_until(lambda report: f"no interface {HOST} here" in (report.trouble or ""))
    replace(director.table, *TABLE_B)
    director.wait_until(lambda report: f"no interface {HOST} here" in (report.error or ""))

    plug_in_again(lab, HOST)

    director.wait_until(lambda report: report.trouble is None and report.error is None and not report.unreachable)
    assert f"{HOST}: attached again: the interface exists again" in director.log.read_text()
    assert (
        director.log.read_text().count(f"ERROR {HOST}: the datapath cannot be updated: no interface {HOST} here") == 1
    ), "not at each look"
    with Stream(lab, PORTS, CLIENTS) as stream:
        stream.wait_for_rounds(1)
    check_stream(stream.tunnelled, stream.passed, choices(director, stream))


def test_returning_interface_gets_the_tables_in_force(director: Director, tmp_path: Path) -> None:
    director.start()
    lab, in_force = director.lab, tmp_path / "in_force.json"
    replace(in_force, *TABLE_A)
    network = {"ip": "198.51.100.0/24", "proto": "udp", "port": 53}
    with without_room(pins(lab) / "wide_binds"):
        replace(director.table, {**TABLE_B[0], "binds": [*TABLE_B[0]["binds"], network]})
        director.wait_until_refused()
        unplug(lab, HOST)
        director.wait_until(lambda report: f"no interface {HOST} here" in (report.trouble or ""))
        plug_in_again(lab, HOST)
        director.wait_until(lambda report: "No space left on device" in (report.trouble or ""))
        director.wait_until(lambda report: not report.unreachable)
        with Stream(lab, PORTS, CLIENTS) as stream:
            stream.wait_for_rounds(1)
    check_stream(stream.tunnelled, stream.passed, choices(director, stream, in_force))

    director.wait_until_loaded()
    director.wait_until(lambda report: report.trouble is None and report.error is None)


def test_tables_in_force_follow_health_while_a_load_fails(director: Director, tmp_path: Path) -> None:
    director.env["GLB_STATE_DIR"] = str(tmp_path / "state")  # what is set down here is not so for the next test
    director.start(fate=ANOTHER_VERSION)
    [source] = tmp_path.glob("*/bpf/types.h")
    good = source.read_text()
    source.write_text("#error none today\n" + good)
    proxies = ("10.77.0.103", "10.77.0.104")
    replace(director.table, *(table(f"t{p}", (p,), proxies, seed=f"{p:032x}") for p in range(6000, 6005)))
    director.wait_until_refused()

    set_down(director, "a", "10.77.0.101")

    director.wait_until(lambda report: report.tables[0].backends.get("10.77.0.101") == "active, unhealthy")
    assert "none today" in str(director.report.error)
    with Stream(director.lab, PORTS, CLIENTS) as stream:
        stream.wait_for_rounds(1)
    assert {tunnel.hops[0] for tunnel in stream.tunnelled} == {"10.77.0.102"}

    source.write_text(good)
    director.wait_until_loaded()


def set_down(director: Director, name: str, backend: str) -> None:
    place = f"/v1/tables/{name}/backends/{backend}/health"
    Client(director.lab.run_dir / f"{HOST}.sock").put(place, {"health": "down"})


def test_a_change_of_the_mtu_is_followed(director: Director) -> None:
    director.start()
    lab = director.lab
    packet = bytes(IP(src="198.18.0.1", dst=str(hosts.VIP4), flags="DF") / UDP(sport=4711, dport=53) / Raw(bytes(1340)))
    with lab.capture("client") as client, lab.capture("dc", HOST) as switch, Sender(lab) as sender:
        sender.send(packet)
        switch.wait_for(lambda frame: tunnel_of(frame.data) is not None)
        lab.within(HOST, partial(set_mtu, 1400))
        try:

            def told() -> bool:
                sender.send(packet)
                return any(inner.protocol == ICMP for inner in received(client.frames()))

            wait_for(told, "the client is told that it does not fit any more")
        finally:
            lab.within(HOST, partial(set_mtu, hosts.DC_MTU))


def set_mtu(mtu: int) -> None:
    with IPRoute() as ip:
        ip.link("set", index=ip.link_lookup(ifname=HOST)[0], mtu=mtu)


def test_incomplete_file_is_refused_until_it_is_complete(
    director: Director,
) -> None:
    director.start()
    whole = json.dumps({"tables": TABLE_B})
    with Stream(director.lab, PORTS, CLIENTS) as stream:
        as_a = choices(director, stream)
        director.table.write_text(whole[: len(whole) // 2])
        director.wait_until_refused()
        stream.wait_for_rounds(1)
        director.table.unlink()
        director.table.mkdir()
        director.wait_until(lambda report: "Is a directory" in (report.error or ""))
        stream.wait_for_rounds(1)
    check_stream(stream.tunnelled, stream.passed, as_a)

    director.table.rmdir()
    director.table.write_text(whole)

    director.wait_until_loaded()
    assert director.report.error is None


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of 64 KB."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(file: Path) -> None:
    """Until nothing more fits."""
    with file.open("wb", buffering=0) as full, suppress(OSError):
        while True:
            full.write(bytes(1024))


def test_a_full_disk_stops_the_reports_and_not_the_reloads(director: Director, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    director.env["GLB_RUN_DIR"] = str(run_dir)
    with small_disk(run_dir):
        director.start()
        director.wait_until(lambda report: bool(report.metrics))  # the last that a start tells
        fill(run_dir / "filler")
        with Stream(director.lab, PORTS, CLIENTS) as stream:
            replace(director.table, *TABLE_B)
            wait_for(lambda: f"{HOST}: cannot write the status file" in director.log.read_text(), "it is said")
            wait_for(lambda: "loaded 1 table (b:" in director.log.read_text(), "the other tables are loaded")
            stream.wait_for_rounds(1)
        as_b = choices(director, stream)
        assert choice_of(stream.tunnelled[-1]) == as_b[stream.tunnelled[-1].inner.flow]
        assert director.report.tables[0].name == "a"

        (run_dir / "filler").unlink()

        director.wait_until(lambda report: report.tables[0].name == "b")
        director.stop()


def test_program_of_another_link_is_named_and_not_touched(director: Director) -> None:
    shutil.rmtree(pins(director.lab), ignore_errors=True)  # the program goes with its link
    wait_for(lambda: xdp_program(director.lab, HOST) is None, "nothing is attached any more")

    with foreign_link(director.lab) as link:
        foreign = xdp_program(director.lab, HOST)
        done = glbctl(director.lab, HOST, *director.command[1:])

        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"{HOST} has another XDP program already, glb_pass (id {foreign})" in done.stderr
        assert f"`bpftool link detach id {link}` removes it" in done.stderr
        assert xdp_program(director.lab, HOST) == foreign
        assert not pins(director.lab).exists()

    wait_for(lambda: xdp_program(director.lab, HOST) is None, "the other tool's is gone")


@contextmanager
def foreign_link(lab: Lab) -> Iterator[int]:
    """Another tool's program on director1, by a link, of which this is the number."""

    def attach() -> int:
        with IPRoute() as ip, pass_program.loaded() as program:
            return libbpf.create_xdp_link(program, ip.link_lookup(ifname=HOST)[0])

    fd = lab.within(HOST, attach)
    try:
        yield link_info(fd).id
    finally:
        os.close(fd)


def test_director_attaches_again_after_a_foreign_program(director: Director) -> None:
    director.start()
    with ExitStack() as stack:
        with director.paused():
            detach(director.lab)
            stack.enter_context(foreign_link(director.lab))
        director.wait_until(lambda report: "has another XDP program already, glb_pass" in (report.trouble or ""))

    director.wait_until(lambda report: report.trouble is None)
    assert f"{HOST}: attached again: the other XDP program is gone from the interface" in director.log.read_text()
    assert director.log.read_text().count("attached again") == 1


def test_a_program_that_was_taken_off_is_attached_again(director: Director) -> None:
    director.start()

    detach(director.lab)

    wait_for(lambda: "attached again" in director.log.read_text(), "it is attached again")
    assert f"{HOST}: attached again: the program had been detached" in director.log.read_text()
    assert pinned_id(pins(director.lab) / "program") == xdp_program(director.lab, HOST)


def detach(lab: Lab) -> None:
    """As by `bpftool link detach`."""
    link = libbpf.open_pin(pins(lab) / "link")
    try:
        libbpf.detach_link(link)
    finally:
        os.close(link)


def test_upgrade_of_the_program_loses_no_packet(
    director: Director,
) -> None:
    director.start()
    link, program = (pinned_id(pins(director.lab) / name) for name in ("link", "program"))
    with Stream(director.lab, PORTS, CLIENTS) as stream:
        as_a = choices(director, stream)
        director.stop(signal.SIGKILL)
        director.start(fate=ANOTHER_VERSION)
        stream.wait_for_rounds(1)

    check_stream(stream.tunnelled, stream.passed, as_a)
    assert pinned_id(pins(director.lab) / "link") == link
    assert pinned_id(pins(director.lab) / "program") == xdp_program(director.lab, HOST) != program
