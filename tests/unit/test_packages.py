# SPDX-License-Identifier: MIT
"""The Debian packages agree with glb about names and places."""

import subprocess
from pathlib import Path

import pytest

from glb import paths
from glb.control.access import CHANGE_GROUP, VIEW_GROUP
from glb.datapath.program_cache import ProgramCache, shipped_dir

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "debian"
MAINTAINER_SCRIPTS = [path for kind in ("postinst", "prerm", "postrm") for path in sorted(DEBIAN.glob(f"*.{kind}"))]
BUILD_SCRIPTS = [path for path in sorted((ROOT / "packaging").iterdir()) if path.is_file() and path.name != "programs"]


@pytest.fixture(autouse=True)
def _usual_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE", "CONFIG", "PROGRAMS", "RUN", "STATE"):
        monkeypatch.delenv(f"GLB_{name}_DIR", raising=False)


def test_purge_removes_each_directory_of_files() -> None:
    script = (DEBIAN / "glb-common.postrm").read_text()

    for folder in (paths.config_dir(), paths.run_dir(), paths.state_dir(), ProgramCache.of_host().folder):
        assert f" {folder}" in script


def test_groups_are_created_and_purged() -> None:
    created = [line.split()[1] for line in (DEBIAN / "glb-common.sysusers").read_text().splitlines() if line[0] == "g"]

    assert sorted(created) == sorted([VIEW_GROUP, CHANGE_GROUP])
    assert f"for group in {' '.join(created)};" in (DEBIAN / "glb-common.postrm").read_text()


def test_each_unit_runs_the_installed_command() -> None:
    rules = (DEBIAN / "rules").read_text()
    units = sorted((ROOT / "packaging/systemd").glob("*.service"))

    assert units
    for unit in units:
        package = unit.name.partition("@")[0]
        assert f"--package={package} packaging/systemd/{unit.name}" in rules
        assert "ExecStart=/usr/bin/glbctl " in unit.read_text()
    assert "usr/bin/glbctl" in (DEBIAN / "glb-common.links").read_text().split()


def test_programs_are_where_a_daemon_searches_them() -> None:
    rules = (DEBIAN / "rules").read_text()
    (home,) = (line.partition(" := ")[2] for line in rules.splitlines() if line.startswith("HOME_DIR := "))

    assert shipped_dir() == Path("/", home, "programs")
    for name in ("director", "proxy"):
        assert f"packaging/programs {name} debian/glb-{name}/$(HOME_DIR)/programs" in rules


@pytest.mark.parametrize("script", [*MAINTAINER_SCRIPTS, *BUILD_SCRIPTS], ids=lambda path: path.name)
def test_scripts_have_no_syntax_error(script: Path) -> None:
    shell = "sh" if script in MAINTAINER_SCRIPTS else "bash"

    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=10, check=False)

    assert (done.returncode, done.stderr) == (0, "")
