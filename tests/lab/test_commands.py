# SPDX-License-Identifier: MIT
"""`glbctl` from a command line: JSON output, error lines, exit status."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from glb.lab import Lab, hosts
from tests.lab.helpers.commands import facts, glbctl

DONE, FAILED, BAD_INPUT = 0, 1, 2
CLIENT = "198.18.0.7:4711"
VIP = f"{hosts.VIP4}:80"
PROXY1 = "10.77.0.101"


def json_of(lab: Lab, *arguments: str) -> Any:
    return facts(lab, "director1", *arguments)


def copy_of_table(lab: Lab, folder: Path) -> str:
    """A table file that no director uses."""
    copy = folder / "copy.json"
    copy.write_text(lab.table_path.read_text())
    return str(copy)


def test_director_status_shows_daemon_datapath_and_tables(lab: Lab) -> None:
    [one] = json_of(lab, "director", "status")
    [alone] = facts(lab, "director2", "director", "status", "--iface", "director2")

    assert (one["interface"], alone["interface"]) == ("director1", "director2")  # each on its own host
    assert json_of(lab, "director", "status", "--iface", "director2") == []
    assert (one["running"], one["attached"], one["error"]) == (True, True, None)
    assert one["process"]["pid"] == lab.process_id("director1").pid
    assert one["pins"] == str(lab.pin_dir / "director1")
    assert one["table_file"] == str(lab.table_path)
    assert one["tables"][0]["name"] == "web"
    assert f"{hosts.VIP4}:80/tcp" in one["tables"][0]["binds"]
    assert one["tables"][0]["backends"][PROXY1] == "active"
    assert one["packets"]["drop_bad_ip"] == 0


def test_proxy_status_shows_daemon_datapath_and_packets(lab: Lab) -> None:
    [one] = facts(lab, "proxy1", "proxy", "status")

    assert facts(lab, "proxy1", "proxy", "status", "--iface", "proxy1")[0]["interface"] == one["interface"] == "proxy1"
    assert (one["role"], one["running"], one["attached"]) == ("proxy", True, True)
    assert one["packets"]["taken_last_resort"] == 0


def test_stats_counts_the_packets_of_each_verdict(lab: Lab) -> None:
    before = {fact["interface"]: fact for fact in json_of(lab, "stats")}
    with lab.traffic("spread", "--count", "20") as traffic:
        assert traffic.wait().flawless
    after = {fact["interface"]: fact for fact in json_of(lab, "stats")}
    [alone] = json_of(lab, "stats", "proxy1")

    def more(names: tuple[str, ...], verdict: str) -> int:
        return sum(after[name]["packets"][verdict] - before[name]["packets"][verdict] for name in names)

    proxies = ("proxy1", "proxy2", "proxy3")
    assert more(proxies, "taken_syn") == 20
    others = ("taken_handshake", "taken_established", "taken_last_resort")
    taken = 20 + sum(more(proxies, verdict) for verdict in others)
    assert more(("director1", "director2"), "encapsulated") == taken
    assert (alone["interface"], alone["program"]) == ("proxy1", "proxy")


def test_lookup_shows_bind_row_and_hops(lab: Lab) -> None:
    printed = json_of(lab, "lookup", str(lab.table_path), CLIENT, VIP)

    assert (printed["table"], printed["bind"], printed["protocol"]) == ("web", f"{hosts.VIP4}:80/tcp", "tcp")
    assert int(printed["hash"], 16) >= 0
    assert len(set(printed["hops"])) == 3
    assert printed["tunnel_source_port"] >= 0x8000


def test_lookup_without_a_bind_ends_with_status_1(lab: Lab) -> None:
    done = glbctl(lab, "director1", "lookup", str(lab.table_path), CLIENT, f"{hosts.VIP4}:81", "-o", "json")

    assert (done.returncode, json.loads(done.stdout)["bind"], done.stderr) == (FAILED, None, "")


def test_a_table_is_built_shown_and_compared(lab: Lab, tmp_path: Path) -> None:
    binary, changed = tmp_path / "table.bin", copy_of_table(lab, tmp_path)
    built = json_of(lab, "table", "build", str(lab.table_path), str(binary))
    [shown] = json_of(lab, "table", "show", str(lab.table_path), "--rows", "0-1")
    json_of(lab, "backend", "drain", changed, PROXY1)
    [diff] = json_of(lab, "table", "diff", str(lab.table_path), changed)["tables"]

    assert (built["tables"], built["bytes"]) == (["web"], binary.stat().st_size)
    assert sum(backend["first_hop_rows"] for backend in shown["backends"]) == 65536
    assert [len(hops) for hops in shown["rows"].values()] == [3, 3]
    assert diff["rows_moved"] == shown["backends"][0]["first_hop_rows"]
    assert diff["may_cut_connections"] is False


def test_backend_commands_reload_the_director(lab: Lab) -> None:
    states = []
    for verb in ("drain", "activate", "drain", "remove", "fill", "activate"):
        printed = json_of(lab, "backend", verb, str(lab.table_path), PROXY1)
        states.append((printed["tables"][0]["before"], printed["tables"][0]["after"]))
        assert {director["interface"]: director["reloaded"] for director in printed["directors"]} == {"director1": True}
    [status] = json_of(lab, "director", "status", "--iface", "director1")

    assert states == [
        ("active", "draining"),
        ("draining", "active"),
        ("active", "draining"),
        ("draining", None),
        (None, "filling"),
        ("filling", "active"),
    ]
    assert status["tables"][0]["backends"][PROXY1] == "active"


def test_a_table_without_a_director_is_edited(lab: Lab, tmp_path: Path) -> None:
    printed = json_of(lab, "backend", "drain", copy_of_table(lab, tmp_path), PROXY1)

    assert (printed["changed"], printed["directors"]) == (True, [])


def test_check_reports_valid_files(lab: Lab) -> None:
    config = str(lab.run_dir / "director1.conf")

    printed = json_of(lab, "check", "--config", config, "--table", str(lab.table_path))

    assert [(fact["file"], fact["good"]) for fact in printed] == [(config, True), (str(lab.table_path), True)]


def test_lab_status_shows_hosts_and_processes(lab: Lab) -> None:
    printed = json_of(lab, "lab", "status", "--lab", lab.name)

    assert printed["name"] == lab.name
    assert {"client", "router", "dc", "director1", "proxy3"} <= {host["name"] for host in printed["hosts"]}


def test_lab_exec_passes_on_output_and_exit_status(lab: Lab) -> None:
    done = glbctl(lab, "director1", "lab", "exec", "--lab", lab.name, "client", "--", "bash", "-c", "echo hi; exit 7")

    assert (done.returncode, done.stdout) == (7, "hi\n")


def bad_table(folder: Path) -> str:
    path = folder / "bad.json"
    path.write_text('{"tables": [{"name": "web", "hash_key": "00"}]}')
    return str(path)


WRONG = {
    "check of a bad table": (("check", "--table", "BAD"), BAD_INPUT, 'tables[0].hash_key: "00"'),
    "check of a file that is not there": (("check", "--table", "/no/such.json"), BAD_INPUT, "/no/such.json"),
    "check of nothing": (("check",), BAD_INPUT, "no file in"),
    "lookup in a bad table": (("lookup", "BAD", CLIENT, VIP), BAD_INPUT, "tables[0].hash_key"),
    "lookup of what is no address": (("lookup", "TABLE", "198.18.0.256", VIP), BAD_INPUT, "198.18.0.256"),
    "lookup across families": (("lookup", "TABLE", "2001:db8::1", VIP), BAD_INPUT, "is IPv6"),
    "lookup of half a pair": (("lookup", "TABLE", CLIENT), BAD_INPUT, "give a client and a VIP"),
    "drain of an unknown backend": (("backend", "drain", "TABLE", "10.9.9.9"), BAD_INPUT, "10.9.9.9"),
    "drain of what is no address": (("backend", "drain", "TABLE", "proxy1"), BAD_INPUT, "proxy1"),
    "rows that are none": (("table", "show", "TABLE", "--rows", "65536"), BAD_INPUT, "rows are 0 to 65535"),
    "a table of another name": (("table", "show", "TABLE", "--name", "mail"), FAILED, "no table mail"),
    "build of a bad table": (("table", "build", "BAD", "/tmp/never.bin"), BAD_INPUT, "tables[0].hash_key"),
    "diff with a missing file": (("table", "diff", "TABLE", "/no/such.json"), BAD_INPUT, "/no/such.json"),
    "stats of an interface without datapath": (("stats", "eth7"), FAILED, "no datapath is attached to eth7"),
    "a lab that is not up": (("lab", "status", "--lab", "no-such"), FAILED, "no lab 'no-such' is up"),
    "an unknown command": (("frobnicate",), BAD_INPUT, "No such command 'frobnicate'"),
    "an unknown format": (("stats", "-o", "yaml"), BAD_INPUT, "'yaml' is not one of 'text', 'json'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gives_a_clear_error_and_its_status(lab: Lab, tmp_path: Path, case: str) -> None:
    arguments, status, expected = WRONG[case]
    places = {"BAD": bad_table(tmp_path), "TABLE": copy_of_table(lab, tmp_path)}

    done = glbctl(lab, "director1", *(places.get(word, word) for word in arguments))

    assert done.returncode == status
    assert expected in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: ") or all(line.startswith("error: ") for line in done.stderr.splitlines()[:1])


def test_the_version_is_printed(lab: Lab) -> None:
    done = glbctl(lab, "director1", "--version")

    assert (done.returncode, done.stdout.split()[0]) == (DONE, "glbctl")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("glbctl dir", {"director"}), ("glbctl backend ", {"drain", "activate", "fill", "remove"})],
)
def test_the_shell_completes_commands(lab: Lab, words: str, offered: set[str]) -> None:
    script = subprocess.run(
        ["bash", "-c", "glbctl --show-completion; exit $?"], env=lab.env, capture_output=True, text=True, check=False
    )
    variables = {"_GLBCTL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(["glbctl"], env=lab.env | variables, capture_output=True, text=True, check=False)

    assert "_GLBCTL_COMPLETE=complete_bash" in script.stdout
    assert offered <= set(done.stdout.split())
