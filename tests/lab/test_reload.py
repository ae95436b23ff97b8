# SPDX-License-Identifier: MIT
"""A director's life under traffic: reload, refuse, be killed, come back, end."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from glb.lab import Lab, links
from tests.conftest import unique_name
from tests.lab.helpers.choices import check_stream, choice_of, choices, count_as
from tests.lab.helpers.commands import facts, glbctl
from tests.lab.helpers.director import HOST, Director, replace, replace_text, table
from tests.lab.helpers.kernel import pinned_id, xdp_program
from tests.lab.helpers.packets import wait_for
from tests.lab.helpers.stream import Stream

PORTS = (53, 5300, 5301)
# Each proxy is in one of them only, so that a mixture would show in the hops.
TABLE_A = [table("a", (53, 5300), ("10.77.0.101", "10.77.0.102"))]
TABLE_B = [
    table("b", (53,), ("10.77.0.103", "10.77.0.104"), hash_key="b" * 32),
    table("c", (5301,), ("10.77.0.105", "10.77.0.106"), hash_key="c" * 32),
]


@pytest.fixture(scope="module")
def network() -> Iterator[Lab]:
    """A lab in which nothing of glb runs; each backend of the tables is there."""
    with Lab.up(unique_name(), owned=True, daemons=False, directors=1, proxies=6) as lab:
        yield lab


@pytest.fixture
def director(network: Lab, tmp_path: Path) -> Iterator[Director]:
    """A director that is not started yet; its table file holds TABLE_A."""
    director = Director(network, tmp_path / "forwarding_table.json")
    replace(director.table, *TABLE_A)
    yield director
    director.stop(signal.SIGKILL)
    shutil.rmtree(pins(network), ignore_errors=True)  # the program goes with its link
    (network.run_dir / f"{HOST}.status.json").unlink(missing_ok=True)
    wait_for(lambda: xdp_program(network, HOST) is None, "nothing is attached any more")


def pins(lab: Lab) -> Path:
    return lab.pin_dir / HOST


def test_each_packet_meets_one_table_never_a_mixture(
    director: Director,
) -> None:
    director.start()
    stream = Stream(director.lab, PORTS)
    as_a = choices(director, stream)
    with stream:
        for _ in range(15):
            replace(director.table, *TABLE_B)
            director.wait_until_loaded()
            replace(director.table, *TABLE_A)
            director.wait_until_loaded()
        replace(director.table, *TABLE_B)
        director.wait_until_loaded()
    as_b = choices(director, stream)

    check_stream(stream.tunnelled, stream.passed, as_a, as_b)
    assert count_as(stream.tunnelled, as_a) > 300
    assert count_as(stream.tunnelled, as_b) > 300


def test_after_a_reload_the_old_tables_binds_are_gone(director: Director) -> None:
    director.start()
    for tables in (TABLE_B, TABLE_A, TABLE_B):
        replace(director.table, *tables)
        director.wait_until_loaded()

    with Stream(director.lab, PORTS) as stream:
        stream.wait_for_rounds(1)

    check_stream(stream.tunnelled, stream.passed, choices(director, stream))
    assert {tunnel.inner.destination_port for tunnel in stream.tunnelled} == {53, 5301}
    assert {inner.destination_port for inner in stream.passed} == {5300}


@pytest.mark.parametrize("which", ["table", "config"])
def test_a_start_with_a_bad_file_fails_and_leaves_nothing(director: Director, which: str) -> None:
    bad = director.table
    if which == "config":
        bad = director.config = director.table.with_name("director.conf")
        replace_text(bad, json.dumps({"outbound_gateway_mac": "02:00:00:00:00:fe", "outbound_src_ip": "10.77.0.999"}))
        expected = f'{bad}: outbound_src_ip: "10.77.0.999"'
    else:
        replace(bad, table("a", (53,), ("10.77.0.101",)) | {"backends": [{"ip": "10.77.0.101", "state": "actve"}]})
        expected = f'{bad}: tables[0].backends[0].state: "actve" is not one of'

    done = glbctl(director.lab, HOST, *director.command[1:])

    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert xdp_program(director.lab, HOST) is None
    assert not pins(director.lab).exists()
    assert not (director.lab.run_dir / f"{HOST}.status.json").exists()


def test_an_invalid_file_is_reported_and_the_old_table_stays(director: Director) -> None:
    director.start()
    with Stream(director.lab, PORTS) as stream:
        as_a = choices(director, stream)
        replace_text(director.table, '{"tables": [{"name": "a", "hash_key": "abc"}]}')
        director.wait_until_refused()
        stream.wait_for_rounds(1)
    expected = f'{director.table}: tables[0].hash_key: "abc"'
    [status] = facts(director.lab, HOST, "director", "status")

    check_stream(stream.tunnelled, stream.passed, as_a)
    assert expected in status["error"]
    assert status["tables"][0]["name"] == "a"
    assert f"not reloaded, the old tables stay in force: {expected}" in director.log.read_text()
    assert glbctl(director.lab, HOST, "director", "status").stdout.count("refused") == 1

    replace(director.table, *TABLE_B)
    director.wait_until_loaded()
    with Stream(director.lab, PORTS) as stream:
        stream.wait_for_rounds(1)
    [status] = facts(director.lab, HOST, "director", "status")

    check_stream(stream.tunnelled, stream.passed, choices(director, stream))
    assert status["error"] is None
    assert [one["name"] for one in status["tables"]] == ["b", "c"]


def test_a_reverted_invalid_edit_is_not_reported_any_more(director: Director) -> None:
    director.start()
    good = director.table.read_text()
    replace_text(director.table, "{")
    director.wait_until_refused()

    replace_text(director.table, good)

    director.wait_until(lambda report: report.error is None and report.rejected_digest is None)


def test_a_missing_file_is_reported_and_the_old_table_stays(director: Director) -> None:
    director.start()
    with Stream(director.lab, PORTS) as stream:
        as_a = choices(director, stream)
        director.table.unlink()
        director.wait_until(lambda report: "No such file" in (report.error or ""))
        stream.wait_for_rounds(1)

    check_stream(stream.tunnelled, stream.passed, as_a)


def test_sighup_and_sigusr1_load_the_files_anew(director: Director) -> None:
    director.start()
    for number in (signal.SIGHUP, signal.SIGUSR1):
        before = director.report.loaded

        director.send(number)

        director.wait_until(lambda report, before=before: report.loaded != before)


def test_a_file_written_in_place_is_loaded_without_a_signal(director: Director) -> None:
    director.start()

    director.table.write_text(json.dumps({"tables": TABLE_B}))
    director.wait_until_loaded()

    assert [one.name for one in director.report.tables] == ["b", "c"]


def many_tables() -> list[dict[str, Any]]:
    """More than there was room for when the program was loaded for one table."""
    return [TABLE_B[0]] + [table(f"more-{n}", (6000 + n,), (f"10.78.{n}.1", f"10.78.{n}.2")) for n in range(6)]


def many_backends() -> list[dict[str, Any]]:
    idle = [{"ip": f"10.78.{n}.{m}", "state": "inactive"} for n in range(5) for m in range(1, 251)]
    first = TABLE_B[0]
    return [first, table("many", (6000,), ()) | {"backends": first["backends"] + idle}]


@pytest.mark.parametrize("more", [many_tables, many_backends])
def test_tables_that_outgrow_the_maps_load_without_packet_loss(
    director: Director, more: Callable[[], list[dict[str, Any]]]
) -> None:
    director.start()
    link, program = (pinned_id(pins(director.lab) / name) for name in ("link", "program"))
    with Stream(director.lab, PORTS) as stream:
        as_a = choices(director, stream)
        replace(director.table, *more())
        director.wait_until_loaded()
        stream.wait_for_rounds(1)

    replace(director.table, TABLE_B[0])  # all of it that the stream meets
    as_more = choices(director, stream)
    check_stream(stream.tunnelled, stream.passed, as_a, as_more)
    assert choice_of(stream.tunnelled[-1]) == as_more[stream.tunnelled[-1].inner.flow]
    assert pinned_id(pins(director.lab) / "link") == link
    assert pinned_id(pins(director.lab) / "program") == xdp_program(director.lab, HOST) != program


@pytest.mark.parametrize(
    ("options", "how"), [(("--keep",), signal.SIGTERM), ((), signal.SIGKILL)], ids=["kept", "killed"]
)
def test_the_next_start_takes_over_without_packet_loss(
    director: Director, options: tuple[str, ...], how: signal.Signals
) -> None:
    director.start(*options)
    link = pinned_id(pins(director.lab) / "link")
    with Stream(director.lab, PORTS) as stream:
        as_a = choices(director, stream)
        director.stop(how)
        stream.wait_for_rounds(2)
        replace(director.table, *TABLE_B)
        [status] = facts(director.lab, HOST, "director", "status")
        director.start()
        stream.wait_for_rounds(2)

    as_b = choices(director, stream)
    check_stream(stream.tunnelled, stream.passed, as_a, as_b)
    assert choice_of(stream.tunnelled[-1]) == as_b[stream.tunnelled[-1].inner.flow]
    assert (status["running"], status["attached"]) == (False, True)
    assert pinned_id(pins(director.lab) / "link") == link
    assert pinned_id(pins(director.lab) / "program") == xdp_program(director.lab, HOST)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["attached", "detached"])
def test_a_start_with_a_bad_file_serves_the_previous_tables(director: Director, how: signal.Signals) -> None:
    director.start()
    director.stop(how)
    replace_text(director.table, "{}")
    director.start()
    with Stream(director.lab, PORTS) as stream:
        stream.wait_for_rounds(1)
        director.wait_until(lambda report: report.error is not None)
        refused = director.report
        replace(director.table, *TABLE_B)
        director.wait_until_loaded()
        stream.wait_for_rounds(1)

    as_b = choices(director, stream)
    replace(director.table, *TABLE_A)
    check_stream(stream.tunnelled, stream.passed, choices(director, stream), as_b)
    assert f"{director.table}: tables: missing" in str(refused.error)
    assert [summary.name for summary in refused.tables] == ["a"]
    assert director.report.error is None


def test_a_second_daemon_on_an_interface_is_refused(director: Director) -> None:
    director.start()
    program = xdp_program(director.lab, HOST)

    done = glbctl(director.lab, HOST, *director.command[1:])

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{HOST} already has a running glb daemon" in done.stderr
    assert xdp_program(director.lab, HOST) == program
    assert pinned_id(pins(director.lab) / "program") == program


def test_a_binary_table_is_served_and_reloaded_like_its_source(director: Director, tmp_path: Path) -> None:
    source, director.table = director.table, tmp_path / "forwarding_table.bin"
    glbctl(director.lab, HOST, "table", "build", str(source), str(director.table))
    director.start()
    with Stream(director.lab, PORTS) as stream:
        as_a = choices(director, stream)
        replace(source, *TABLE_B)
        facts(director.lab, HOST, "table", "build", str(source), str(director.table))
        director.wait_until_loaded()
        stream.wait_for_rounds(1)

    as_b = choices(director, stream)
    check_stream(stream.tunnelled, stream.passed, as_a, as_b)
    assert choice_of(stream.tunnelled[-1]) == as_b[stream.tunnelled[-1].inner.flow]


def test_another_tools_xdp_program_is_not_replaced(director: Director) -> None:
    links.attach_pass_program(director.lab.namespace(HOST), HOST)
    foreign = xdp_program(director.lab, HOST)

    done = glbctl(director.lab, HOST, *director.command[1:])

    assert foreign is not None
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{HOST} has another XDP program already, glb_pass (id {foreign})" in done.stderr
    assert f"`ip link set dev {HOST} xdp off` removes it" in done.stderr
    assert xdp_program(director.lab, HOST) == foreign
    assert not pins(director.lab).exists()
    detach(director.lab)


def detach(lab: Lab) -> None:
    """Take a program off director1 that was attached without a link."""

    def change() -> None:
        with IPRoute() as ip:
            ip.link("set", index=ip.link_lookup(ifname=HOST)[0], xdp_fd=-1)

    lab.within(HOST, change)


def test_an_unknown_interface_is_an_error_that_lists_the_known(director: Director) -> None:
    arguments = ["eth7" if word == HOST else word for word in director.command[1:]]

    done = glbctl(director.lab, HOST, *arguments)

    assert (done.returncode, done.stderr) == (1, f"error: no interface eth7 here; there are: {HOST}, lo\n")
