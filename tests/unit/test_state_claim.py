# SPDX-License-Identifier: MIT
"""Directors with different run directories do not share a state directory."""

from pathlib import Path

import pytest

from glb.director.state_claim import claimed_state_dir
from glb.errors import LockError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLB_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_directors_of_one_run_directory_share_state(run: Path) -> None:
    with claimed_state_dir(), claimed_state_dir():
        pass


def test_a_director_of_another_run_directory_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed_state_dir():
        monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "other"))
        with (
            pytest.raises(LockError, match=f"another run directory, {run}, .* its own .GLB_STATE_DIR"),
            claimed_state_dir(),
        ):
            pass


def test_state_directory_is_free_after_its_directors_end(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed_state_dir():
        pass
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "other"))

    with claimed_state_dir():
        monkeypatch.setenv("GLB_RUN_DIR", str(run))
        with pytest.raises(LockError), claimed_state_dir():
            pass


def test_director_runs_without_a_state_directory(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file in its place")

    with claimed_state_dir():
        assert "may not be kept" in caplog.text
