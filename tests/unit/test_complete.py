# SPDX-License-Identifier: MIT
"""What the shell offers for a word of a command line."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glb.ctl.complete import tables_and_files
from glb.ctl.completion import Shell, script
from glb.ctl.main import app
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, TableSummary

TABLES = (
    TableSummary("web", (), {"10.0.0.11": "active", "10.0.0.12": "draining"}, 2),
    TableSummary("mail", (), {"10.0.0.21": "active"}, 2),
)


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    report = Report("director", "edge7", ProcessId.own(), "2026-01-01T00:00:00+00:00", tables=TABLES)
    (tmp_path / "edge7.status.json").write_text(json.dumps(asdict(report)))
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path))
    return tmp_path


def offered(line: str) -> list[str]:
    """As bash has it for the last word of the line."""
    variables = {
        "_GLBCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = CliRunner().invoke(app, prog_name="glbctl", env=variables)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("glbctl backend list ", ["web", "mail"]),
        ("glbctl backend drain we", ["web"]),
        ("glbctl backend drain web ", ["10.0.0.11", "10.0.0.12"]),
        ("glbctl backend history mail 10", ["10.0.0.21"]),
        ("glbctl director status --iface ", ["edge7"]),
        ("glbctl stats e", ["edge7"]),
        ("glbctl explain drop_no_next", ["drop_no_next_hop"]),
    ],
)
@pytest.mark.usefixtures("run_dir")
def test_words_are_completed_from_what_runs_here(line: str, words: list[str]) -> None:
    assert offered(line) == words


def test_a_damaged_status_file_offers_nothing_and_writes_nothing(run_dir: Path) -> None:
    (run_dir / "edge7.status.json").write_text("{")

    assert offered("glbctl backend list ") == []


def test_tables_and_files_are_both_offered(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_dir)
    (run_dir / "websites").mkdir()

    assert tables_and_files("we") == ["web", "websites/"]
    assert tables_and_files(f"{run_dir}/we") == [f"{run_dir}/websites/"]


def test_bash_completes_by_the_script_that_glbctl_prints() -> None:
    printed = CliRunner().invoke(app, ["completion", "bash"]).stdout
    line = 'COMP_WORDS=(glbctl comp); COMP_CWORD=1; _glbctl_completion glbctl; echo "${COMPREPLY[@]}"'

    done = subprocess.run(
        ["bash", "--norc", "-c", f"PATH={Path(sys.executable).parent}:$PATH\n{printed}\n{line}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("completion\n", "")


def test_zsh_completes_with_the_script_in_a_folder() -> None:
    """From a folder of its function path, zsh runs the file for each completion; sourced, it only registers."""
    found = script(Shell.ZSH)

    assert found.startswith("#compdef glbctl\n")
    assert 'if [[ $funcstack[1] == _glbctl ]]; then\n  _glbctl_completion "$@"\nelse\n  compdef' in found
