# SPDX-License-Identifier: MIT
"""The examples in docs/ecmp.md are taken by the programs that they are for."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from glb.config.parse import parse_director

DOCUMENT = Path(__file__).parents[2] / "docs" / "ecmp.md"
FRR = Path("/usr/lib/frr/bgpd")
INCLUDED = "/run/glb/eth0.bird.conf*"

needs_bird = pytest.mark.skipif(shutil.which("bird") is None, reason="needs bird2, which script/install --dev installs")
needs_frr = pytest.mark.skipif(not FRR.exists(), reason="needs frr, which script/install --dev installs")


def example(beginning: str) -> str:
    """The one block of the document with this in it."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if beginning in block]
    return str(found)


def bird_says(path: Path, text: str) -> str:
    path.write_text(text)
    done = subprocess.run(["bird", "-p", "-c", path], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_directors_side_is_a_good_configuration() -> None:
    routing = json.loads("{" + example('"hold_time": 9') + "}")

    parse_director(json.dumps({"outbound_src_ip": "10.0.0.1"} | routing), "director.conf")


@needs_bird
def test_bird_takes_the_routers_side(tmp_path: Path) -> None:
    assert bird_says(tmp_path / "bird.conf", "router id 10.0.0.254;\n" + example("filter from_director")) == ""


@needs_bird
def test_an_operators_bird_takes_its_part(tmp_path: Path) -> None:
    included = tmp_path / "included.conf"
    included.write_text("protocol static glb4 { ipv4; } protocol static glb6 { ipv6; }")
    configuration = example("include").replace(INCLUDED, str(included))

    assert bird_says(tmp_path / "bird.conf", f"router id 10.0.0.1;\nprotocol device {{ }}\n{configuration}") == ""


@needs_frr
def test_frr_takes_the_routers_side() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        Path(file.name).chmod(0o644)  # it is read by FRR's own user
        file.write(example("router bgp 65000\n bgp graceful-restart"))
        file.flush()
        command = [FRR, "--dryrun", "--config_file", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert "on config line" not in done.stderr
