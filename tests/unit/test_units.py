# SPDX-License-Identifier: MIT
"""The systemd units: whether systemd takes them, and how much they expose, by its own measure."""

import re
import subprocess
from pathlib import Path

import pytest

from glb.daemon.service_manager import UNIT_VARIABLE

UNITS = Path(__file__).parents[2] / "packaging/systemd"
MOST_EXPOSED = 4.0


@pytest.fixture(params=["director", "proxy"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the unit for eth0, whose command is there and whose man pages are not looked for."""
    command = tmp_path / "glbctl"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    text = (UNITS / f"glb-{request.param}@.service").read_text().replace("/usr/bin/glbctl", str(command))
    copy = tmp_path / f"glb-{request.param}@eth0.service"
    copy.write_text(re.sub(r"(?m)^Documentation=.*\n", "", text))
    return copy


def analyze(*arguments: str | Path) -> str:
    ended = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def test_systemd_takes_the_units(unit: Path) -> None:
    assert str(unit.name) not in analyze("verify", "--man=no", "--generators=no", unit)


def test_units_expose_little(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED * 10:.0f}", unit)
    assert re.search(r"exposure level for \S+: [0-4]\.\d", said)


def test_daemon_learns_its_unit_from_the_unit(unit: Path) -> None:
    assert f"\nEnvironment={UNIT_VARIABLE}=%n\n" in unit.read_text()
