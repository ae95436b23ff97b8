# SPDX-License-Identifier: MIT
"""With -o json, errors are JSON as well."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from glb.ctl.output import plain, wants_json


def glbctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "glb.ctl", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "status", "detail"),
    [
        (["table", "show", "/none", "-o", "json"], 2, "/none: No such file or directory"),
        (["explain", "no-such", "-o", "json"], 1, '"no-such" is neither a verdict nor a warning'),
        (["explain", "--no-such", "--output=json"], 2, "No such option: --no-such"),
        (["lookup", "/none", "-ojson"], 2, "give a client and a VIP"),
    ],
)
def test_an_error_is_one_json_object_on_stderr(arguments: list[str], status: int, detail: str) -> None:
    done = glbctl(*arguments)

    assert (done.returncode, done.stdout) == (status, "")
    said = json.loads(done.stderr)
    assert list(said) == ["detail"]
    assert detail in said["detail"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["director", "run", "--iface", "none0", "--config", "/none", "--table", "/none"],
            1,
            "no interface none0 here",
        ),
        (["proxy", "run", "--iface", "lo", "--config", "/none"], 2, "/none: No such file or directory"),
        (["proxy", "run", "--no-such"], 2, "No such option: --no-such"),
    ],
)
def test_a_refused_start_is_one_line_of_the_json_log(
    arguments: list[str], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GLB_RUN_DIR", "GLB_STATE_DIR", "GLB_PIN_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))

    done = glbctl(*arguments, "--log", "json")

    assert (done.returncode, done.stdout) == (status, "")
    said = json.loads(done.stderr)
    assert (said["level"], message in said["message"]) == ("ERROR", True), said


def test_a_bad_file_names_the_field_in_json_too(tmp_path: Path) -> None:
    table = tmp_path / "tables.json"
    table.write_text('{"tables": 5}')

    shown, checked = (
        glbctl(*command, str(table), "-o", "json") for command in (("table", "show"), ("check", "--table"))
    )

    assert json.loads(shown.stderr)["detail"].startswith(f"{table}: tables: ")
    assert json.loads(checked.stdout)[0]["errors"][0].startswith(f"{table}: tables: ")
    assert checked.returncode == 2


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("-o json", True),
        ("stats --output json", True),
        ("stats --output=json eth0", True),
        ("stats -o text json", False),
        ("lab exec client -- curl -o json", False),
    ],
)
def test_json_is_wanted_before_the_line_is_valid(line: str, wanted: bool) -> None:
    assert wants_json(line.split()) is wanted


@pytest.mark.parametrize("line", ['{"detail": "no room"}', '{"warning": "no room"}', "no room"])
def test_messages_of_another_glbctl_are_shown_as_text(line: str) -> None:
    assert plain(line) == "no room"
