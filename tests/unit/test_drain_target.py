# SPDX-License-Identifier: MIT
"""The director that `glbctl director drain` selects, by the status files of the daemons."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from glb.ctl.director import app
from glb.daemon.process import ProcessId
from glb.daemon.report import Report, now
from glb.errors import ControlError


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Status files of directors on eth0 and eth1, whose daemon is this process."""
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path))
    for interface in ("eth0", "eth1"):
        socket = tmp_path / f"{interface}.sock"
        Report(role="director", interface=interface, process=ProcessId.own(), started=now(), socket=str(socket)).write()
    return tmp_path


def test_a_drain_of_several_directors_is_refused(run_dir: Path) -> None:
    error = CliRunner().invoke(app, ["drain"]).exception

    assert isinstance(error, ControlError)
    assert str(error) == "several directors run on this host (eth0, eth1); choose one with --iface"


def test_a_drain_selects_a_director_by_interface(run_dir: Path) -> None:
    error = CliRunner().invoke(app, ["drain", "--iface", "eth1"]).exception

    assert isinstance(error, ControlError)
    assert str(run_dir / "eth1.sock") in str(error)
