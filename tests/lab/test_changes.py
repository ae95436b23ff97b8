# SPDX-License-Identifier: MIT
"""Changes of the tables under live connections: planned, refused, applied, undone; and what faults leave of them."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glb.config.json_files import load_tables
from glb.control.client import Client
from glb.daemon.report import read_report
from glb.errors import ControlError
from glb.lab import Lab, hosts
from glb.lab.traffic import Traffic
from glb.table.digest import digest_of_source
from tests.conftest import unique_name
from tests.lab.helpers.commands import facts, glbctl
from tests.lab.helpers.packets import wait_for

PROXIES = ("proxy1", "proxy2", "proxy3")
PROXY1 = "10.77.0.101"
CHANGES, CUTS, FAILED, BAD_INPUT = 3, 4, 1, 2
IN_FLIGHT = 60


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A separate small file system."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose table file and whose state are on small disks."""
    folder = tmp_path_factory.mktemp("disks")
    with (
        small_disk(folder / "etc") as etc,
        small_disk(folder / "state") as state,
        Lab.up(unique_name(), owned=True, daemons=False) as lab,
    ):
        table = etc / lab.table_path.name
        table.write_text(lab.table_path.read_text())
        lab.table_path.unlink()
        lab.table_path.symlink_to(table)
        (lab.run_dir / "state").symlink_to(state)
        for proxy in PROXIES:
            lab.start_proxy(proxy)
        for director in ("director1", "director2"):
            lab.start_director(director)
        yield lab


@contextmanager
def full_disk_below(path: Path) -> Iterator[None]:
    """For the time of the block, nothing more can be written to the disk that the path is on."""
    filler = path / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def draft(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Writes a file of tables as they are with some states changed; afterwards, the tables are as they were."""
    before = lab.table_path.read_text()

    def write(**states: str | None) -> str:
        tables = json.loads(lab.table_path.read_text())
        backends = tables["tables"][0]["backends"]
        for name, state in states.items():
            address = str(lab.host(name).addresses[0].ip)
            [backend] = [backend for backend in backends if backend["ip"] == address]
            if state is None:
                backends.remove(backend)
            else:
                backend["state"] = state
        path = tmp_path / "new.json"
        path.write_text(json.dumps(tables, indent=2) + "\n")
        return str(path)

    yield write
    if lab.table_path.read_text() != before:
        undo = tmp_path / "before.json"
        undo.write_text(before)
        json_of(lab, "apply", str(undo), "--force")


def json_of(lab: Lab, *arguments: str) -> Any:
    return facts(lab, "director1", "table", *arguments)


def numbers(lab: Lab) -> list[int]:
    return [version["number"] for version in history(lab)["versions"]]


def history(lab: Lab) -> Any:
    return Client(lab.run_dir / "director1.sock").get("/v1/tables/history")


def loaded_states(lab: Lab) -> list[str | None]:
    """What each director has of proxy1."""
    reports = (read_report(lab.run_dir / f"{name}.status.json") for name in ("director1", "director2"))
    return [report.tables[0].backends.get(PROXY1) for report in reports]


def wait_until_both_have(lab: Lab, state: str) -> None:
    """Wait until both directors, each on its own host, have loaded this state of proxy1."""
    wait_for(lambda: loaded_states(lab) == [state, state], f"both directors have loaded it as {state}")


@contextmanager
def downloads(lab: Lab) -> Iterator[Traffic]:
    """Downloads of 4 seconds each, some of them at each proxy when the block begins."""
    arguments = ("--file", "256k", "--rate", "64k", "--family", "4", "--stall", "5")
    with lab.traffic("download", "--until-stopped", "--in-flight", str(IN_FLIGHT), *arguments) as traffic:
        traffic.wait_until(lambda: {opened.proxy for opened in traffic.in_flight} == set(PROXIES))
        yield traffic


def test_a_plan_shows_the_effects_and_its_status_says_so(lab: Lab, draft: Callable[..., str]) -> None:
    def status(path: str) -> int:
        return glbctl(lab, "director1", "table", "plan", path, "--detailed-exitcode").returncode

    removal = draft(proxy1=None)
    plan = json_of(lab, "plan", removal)

    assert (plan["changes"], plan["cuts_connections"]) == (True, True)
    [cut] = [finding for finding in plan["findings"] if finding["severity"] == "cuts"]
    [removed] = [backend for backend in plan["changed"][0]["backends"] if backend["action"] == "remove"]
    assert (cut["backend"], cut["rows"]) == (PROXY1, removed["rows_before"])
    assert status(removal) == CUTS
    assert status(draft(proxy1="draining")) == CHANGES
    assert status(str(lab.table_path)) == 0
    assert status(draft(proxy1="drainng")) == BAD_INPUT


def test_a_change_that_cuts_is_refused_and_others_are_made(
    lab: Lab, draft: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    before, known = lab.table_path.read_text(), numbers(lab)
    with downloads(lab) as traffic:
        refused = glbctl(lab, "director1", "table", "apply", draft(proxy1=None))
        after_refusal, still_known = lab.table_path.read_text(), numbers(lab)
        drained = json_of(lab, "apply", draft(proxy1="draining"), "--note", "a new disk")
        wait_until_both_have(lab, "draining")
        back = json_of(lab, "rollback")
        summary = traffic.stop()

    assert refused.returncode == FAILED
    assert f"web: {PROXY1}: it is removed while it is active, without a drain; drain it first" in refused.stderr
    assert (after_refusal, still_known) == (before, known)
    assert (drained["plan"]["may_cut_connections"], back["plan"]["may_cut_connections"]) == (False, False)
    assert {director["interface"]: director["reloaded"] for director in drained["directors"]} == {"director1": True}
    wait_until_both_have(lab, "active")
    assert lab.table_path.read_text() == before
    assert lab.table_path.is_symlink()
    assert (summary.failed, summary.cut) == (0, 0)
    rollback, apply, *_ = history(lab)["versions"]
    assert (apply["how"], apply["author"], apply["note"]) == ("apply", "alice", "a new disk")
    assert (rollback["how"], rollback["author"]) == ("rollback", "alice")
    assert (rollback["number"], apply["number"]) == (known[0] + 2, known[0] + 1)


def test_force_cuts_just_the_connections_that_the_plan_named(lab: Lab, draft: Callable[..., str]) -> None:
    with downloads(lab) as traffic:
        applied = json_of(lab, "apply", draft(proxy1=None), "--force")
        traffic.stop()

    assert applied["plan"]["cuts_connections"]
    broken = [finished for finished in traffic.finished if finished.outcome != "ok"]
    named = {finished.proxy for finished in broken if finished.proxy}  # not so of one that had no answer yet
    assert named == {"proxy1"}


def test_a_command_edits_the_current_target_of_a_link(lab: Lab, draft: Callable[..., str]) -> None:
    """As of one that always leads to the newest release."""
    before, text = lab.table_path.resolve(), lab.table_path.read_text()
    release = lab.run_dir / "release.json"
    release.write_text(Path(draft(proxy1="draining")).read_text())
    lead_to(lab.table_path, release)
    wait_until_both_have(lab, "draining")
    glbctl(lab, "director1", "backend", "activate", "web", PROXY1)

    wait_until_both_have(lab, "active")
    assert before.read_text() == text
    assert json.loads(release.read_text()) == json.loads(text)
    lead_to(lab.table_path, before)


def lead_to(link: Path, target: Path) -> None:
    """Exchange a link's target in one step."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.rename(link)


def test_edits_and_commands_are_versions_with_their_authors(lab: Lab, draft: Callable[..., str]) -> None:
    first = numbers(lab)[0]
    lab.table_path.write_text(Path(draft(proxy1="draining")).read_text())
    wait_for(lambda: numbers(lab)[0] == first + 1, "the edit is a version")
    glbctl(lab, "director1", "backend", "activate", str(lab.table_path), PROXY1)

    command, edit, *_ = history(lab)["versions"]
    shown = glbctl(lab, "director1", "table", "history", str(command["number"]), "--diff").stdout

    assert (edit["how"], edit["author"]) == ("edit", "file edited")
    assert (command["how"], command["note"]) == ("backend", f"web: {PROXY1} draining -> active")
    assert command["number"] == first + 2
    assert [line for line in shown.splitlines() if line[:1] in "+-"][2:] == [
        '-          "state": "draining",',
        '+          "state": "active",',
    ]


def test_on_a_full_disk_nothing_is_changed(lab: Lab, draft: Callable[..., str]) -> None:
    before, path = lab.table_path.read_text(), draft(proxy1="draining")
    with full_disk_below(lab.table_path.resolve().parent):
        done = glbctl(lab, "director1", "table", "apply", path)

    assert done.returncode == FAILED
    assert "cannot be replaced: No space left on device" in done.stderr
    assert lab.table_path.read_text() == before
    assert loaded_states(lab) == ["active", "active"]
    assert [entry.name for entry in lab.table_path.resolve().parent.iterdir()] == [lab.table_path.name]


def test_tables_are_loaded_although_the_history_is_full(lab: Lab, draft: Callable[..., str]) -> None:
    known = numbers(lab)
    with full_disk_below(lab.run_dir / "state"):
        done = glbctl(lab, "director1", "table", "apply", draft(proxy1="draining"))
        wait_until_both_have(lab, "draining")  # director2 would save it once there is room

    assert done.returncode == 0
    assert "the version could not be saved in the history" in done.stderr
    assert "the version cannot be saved: No space left on device" in (lab.run_dir / "director1-glbctl.log").read_text()
    assert numbers(lab) == known


@contextmanager
def spoilt_config(lab: Lab) -> Iterator[None]:
    """For the time of the block, director1 takes no tables, since its configuration is bad."""
    config = lab.run_dir / "director1.conf"
    good = config.read_text()
    config.write_text("{}")
    try:
        yield
    finally:
        config.write_text(good)


def test_refused_tables_leave_the_old_file(lab: Lab, draft: Callable[..., str]) -> None:
    before = lab.table_path.read_text()
    with spoilt_config(lab):
        done = glbctl(lab, "director1", "table", "apply", draft(proxy1="draining"), "--iface", "director1")

    assert done.returncode == FAILED
    assert "not changed, since the new tables were refused" in done.stderr
    assert "outbound_src_ip: missing" in done.stderr
    assert lab.table_path.read_text() == before
    wait_until_both_have(lab, "active")


@pytest.fixture
def refused(lab: Lab) -> Iterator[Path]:
    """Where a refused edit of the table file is to be found after other tables were applied."""
    path = lab.table_path.resolve().with_name(f"{lab.table_path.name}.refused")
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def edited(lab: Lab) -> str:
    """The table file, with proxy1 drained by hand and a comma forgotten."""
    tables = json.loads(lab.table_path.read_text())
    tables["tables"][0]["backends"][0]["state"] = "draining"
    return json.dumps(tables, indent=2).replace(",", "", 1)


def test_apply_keeps_a_refused_edit_beside_the_file(lab: Lab, draft: Callable[..., str], refused: Path) -> None:
    path, edit = draft(proxy1="draining"), edited(lab)
    lab.table_path.resolve().chmod(0o640)
    lab.table_path.write_text(edit)

    done = glbctl(lab, "director1", "table", "apply", path, "-o", "json")

    assert done.returncode == 0
    wait_until_both_have(lab, "draining")
    assert (refused.read_text(), refused.stat().st_mode & 0o777) == (edit, 0o640)
    aside = json.loads(done.stdout)["set_aside"]
    assert aside["path"] == str(refused)
    assert aside["fault"] == f'{lab.table_path}: line 5, column 7: a "," or the closing bracket is expected here'
    warning = json.loads(done.stderr)["warning"]
    assert f"is kept as {refused}; it was refused: {aside['fault']}" in warning
    assert f"was never loaded, and is kept as {refused}" in lab.log("director1")


def test_a_failed_apply_leaves_a_refused_edit_in_the_file(lab: Lab, draft: Callable[..., str], refused: Path) -> None:
    before, path, edit = lab.table_path.read_text(), draft(proxy1="draining"), edited(lab)
    lab.table_path.write_text(edit)
    with spoilt_config(lab):
        done = glbctl(lab, "director1", "table", "apply", path, "--iface", "director1")
    after = lab.table_path.read_text()
    lab.table_path.write_text(before)

    assert done.returncode == FAILED
    assert after == edit
    assert not refused.exists()


def test_loaded_content_is_not_kept_beside_the_file(lab: Lab, draft: Callable[..., str], refused: Path) -> None:
    assert json_of(lab, "apply", draft(proxy1="draining"))["set_aside"] is None
    assert not refused.exists()


def test_backend_commands_leave_a_refused_file_as_it_is(lab: Lab, refused: Path) -> None:
    before, edit = lab.table_path.read_text(), edited(lab)
    lab.table_path.write_text(edit)
    done = glbctl(lab, "director1", "backend", "drain", "web", PROXY1)
    after = lab.table_path.read_text()
    lab.table_path.write_text(before)

    assert done.returncode == BAD_INPUT
    assert f'{lab.table_path}: line 5, column 7: a "," or the closing bracket is expected here' in done.stderr
    assert after == edit
    assert not refused.exists()


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{"), Path.unlink], ids=["bad", "gone"])
def test_a_rollback_replaces_an_invalid_file(lab: Lab, spoil: Callable[[Path], object]) -> None:
    before, known = lab.table_path.read_text(), numbers(lab)
    spoil(lab.table_path)

    done = json_of(lab, "rollback")

    assert lab.table_path.read_text() == before
    assert (done["plan"]["changes"], numbers(lab)) == (False, known)


def test_a_damaged_version_is_reported_and_others_are_listed(lab: Lab) -> None:
    versions = json_of(lab, "history")["versions"]
    [folder] = (lab.run_dir / "state" / "history").iterdir()
    newest = folder / f"{versions[0]['number']:06}.json"
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    try:
        done = glbctl(lab, "director1", "table", "history", "-o", "json")
    finally:
        newest.write_bytes(whole)

    assert json.loads(done.stdout)["versions"] == versions[1:]
    assert f"{newest}: damaged" in done.stderr


def test_the_api_returns_the_same_history(lab: Lab) -> None:
    known = json_of(lab, "history")
    [newest, *_] = known["versions"]
    kept = Client(lab.run_dir / "director1.sock").get(f"/v1/tables/history/{newest['number']}")

    assert history(lab) == known
    assert (kept["version"], kept["source"]) == (newest, lab.table_path.read_text())


def api(lab: Lab, director: str = "director1") -> Client:
    return Client(lab.run_dir / f"{director}.sock")


def with_spares(lab: Lab, number: int) -> list[str]:
    """The tables as they are with further backends without checks; returns their addresses."""
    tables = json.loads(lab.table_path.read_text())
    spares = [f"10.77.0.{150 + n}" for n in range(number)]
    tables["tables"][0]["backends"] += [{"ip": address, "state": "active"} for address in spares]
    api(lab).post("/v1/tables/apply", {"source": json.dumps(tables), "force": True})
    return spares


def drain_by(director: Client, address: str) -> str | None:
    """Why a drain is refused; None if it is done."""
    try:
        director.post("/v1/tables/backends", {"action": "drain", "address": address})
    except ControlError as error:
        return str(error)
    return None


@pytest.mark.usefixtures("draft")
def test_simultaneous_drains_are_judged_one_after_the_other(lab: Lab) -> None:
    spares = with_spares(lab, 5)
    wait_for(lambda: digest_of(lab, "director2") == digest_of(lab, "director1"), "both have the spares")
    clients = [api(lab, name) for name in ("director1", "director2") * 3]
    with ThreadPoolExecutor(len(clients)) as pool:
        refusals = list(pool.map(drain_by, clients, spares))

    draining = [
        b["ip"] for b in json.loads(lab.table_path.read_text())["tables"][0]["backends"] if b["state"] == "draining"
    ]
    assert sorted(draining) == sorted(a for a, refusal in zip(spares, refusals, strict=False) if refusal is None)
    assert len(draining) == 2  # a third would leave rows of three hops without one that takes connections
    assert all("it would cut established connections" in refusal for refusal in refusals if refusal)
    in_file = digest_of_source(load_tables(lab.table_path))
    wait_for(lambda: {digest_of(lab, name) for name in ("director1", "director2")} == {in_file}, "it is what is loaded")


def digest_of(lab: Lab, director: str) -> Any:
    return read_report(lab.run_dir / f"{director}.status.json").tables_digest


def test_status_metrics_history_and_plan_show_one_digest(lab: Lab, draft: Callable[..., str]) -> None:
    Path(path := draft()).write_text(json.dumps(json.loads(lab.table_path.read_text()), indent=7))
    json_of(lab, "apply", path)

    [newest, before, *_] = json_of(lab, "history")["versions"]
    shown = {fact["tables_digest"] for fact in facts(lab, "director1", "director", "status")}
    text = glbctl(lab, "director1", "director", "status").stdout
    socket_path = str(lab.run_dir / "director1.sock")
    exposed = lab.run("director1", ["curl", "-s", "--unix-socket", socket_path, "http://glb/metrics"]).stdout

    assert newest["digest"] == before["digest"]
    assert shown == {newest["digest"]}
    assert newest["digest"][:12] in text
    assert f'digest="{newest["digest"]}"' in exposed
    assert json_of(lab, "plan", path)["basis"]["digest"] == newest["digest"]


def test_a_plan_for_other_tables_is_refused(lab: Lab, draft: Callable[..., str]) -> None:
    path = draft(proxy1="draining")
    expects = json_of(lab, "plan", path)["basis"]["digest"]
    glbctl(lab, "director1", "backend", "drain", "web", str(lab.host("proxy2").addresses[0].ip))
    before = lab.table_path.read_text()

    with pytest.raises(ControlError, match=r"the tables were changed after the plan \(version \d+: backend by root\)"):
        api(lab).post("/v1/tables/apply", {"source": Path(path).read_text(), "expects": expects})
    assert lab.table_path.read_text() == before


def with_bind(lab: Lab, port: int, path: Path) -> str:
    tables = json.loads(lab.table_path.read_text())
    tables["tables"][0]["binds"].append({"ip": str(hosts.VIP4), "proto": "udp", "port": port})
    path.write_text(json.dumps(tables))
    return str(path)


def test_an_added_bind_is_rolled_back_if_it_had_no_packet(lab: Lab, draft: Callable[..., str], tmp_path: Path) -> None:
    json_of(lab, "apply", with_bind(lab, 9999, tmp_path / "bind.json"))
    back = json_of(lab, "rollback")
    json_of(lab, "apply", with_bind(lab, 9999, tmp_path / "bind.json"))
    send_datagram(lab, 9999)
    refused = glbctl(lab, "director1", "table", "rollback")

    [note] = back["plan"]["findings"]
    assert note["severity"] == "note"
    assert "the directors of this host have counted no packet for it since it was added" in note["reason"]
    assert refused.returncode == FAILED
    assert f"no table matches packets for {hosts.VIP4}:9999/udp any more" in refused.stderr


def send_datagram(lab: Lab, port: int) -> None:
    """From the client to the VIP, from several ports, until director1 has counted one."""

    def is_counted() -> bool:
        with lab.open_socket("client", socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", (str(hosts.VIP4), port))
        return counted(lab, f"{hosts.VIP4}:{port}/udp") > 0

    wait_for(is_counted, "director1 counts a datagram")


def counted(lab: Lab, bind: str) -> int:
    """The packets for a bind that director1 has encapsulated."""
    [fact] = facts(lab, "director1", "stats", "director1")
    return sum(row["packets"] for row in fact["binds"] if row["bind"] == bind)


def test_a_plan_without_a_daemon_begins_with_the_datapath(lab: Lab, draft: Callable[..., str]) -> None:
    """Both daemons are killed, and the file is edited meanwhile."""
    held, path = json_of(lab, "history")["versions"][0], draft(proxy1="draining")
    original = lab.table_path.read_text()
    for director in ("director1", "director2"):
        lab.kill(director)
    try:
        lab.table_path.write_text(Path(path).read_text())
        plan = json_of(lab, "plan", str(lab.table_path))
        shown = glbctl(lab, "director1", "table", "plan", str(lab.table_path)).stdout
        undone = glbctl(lab, "director1", "backend", "activate", str(lab.table_path), PROXY1)
    finally:
        lab.table_path.write_text(original)
        for director in ("director1", "director2"):
            lab.start_director(director)

    assert plan["changes"]
    assert plan["basis"]["digest"] == held["digest"]
    assert f"version {held['number']} of the history" in " ".join(shown.split())
    assert undone.returncode == FAILED
    assert "its daemon" in undone.stderr
