# SPDX-License-Identifier: MIT
"""Routes given to a BIRD that is the operator's: a real one, without sessions and no part in this host's routes."""

import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from glb.config.parse import parse_director
from glb.config.routing import Routing
from glb.errors import RoutingError
from glb.routing import bird_control
from glb.routing.bird import OperatorsBird

CONFIGURATION = 'log "{folder}/log" all;\nrouter id 192.0.2.1;\nprotocol device {{ }}\n'
PREFIXES = (ip_network("203.0.113.10/32"), ip_network("2001:db8:f::10/128"))


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Path]:
    """Its configuration file; its control socket is `bird.ctl` beside it."""
    configuration = tmp_path / "bird.conf"
    configuration.write_text(CONFIGURATION.format(folder=tmp_path))
    subprocess.run(["bird", "-c", configuration, "-s", tmp_path / "bird.ctl"], check=True)
    yield configuration
    bird_control.shut_down(tmp_path / "bird.ctl")


def routing(folder: Path) -> Routing:
    key = {"speaker": "bird", "control": str(folder / "bird.ctl"), "communities": ["65001:100"]}
    found = parse_director(json.dumps({"outbound_src_ip": "192.0.2.1", "routing": key}), "director.conf").routing
    assert found is not None
    return found


def routes(folder: Path) -> str:
    return " ".join(line.text for line in bird_control.run(folder / "bird.ctl", "show route all"))


def test_a_bird_that_does_not_include_the_routes_is_refused(bird: Path, tmp_path: Path) -> None:
    speaker = OperatorsBird(tmp_path / "bird.ctl", tmp_path / "eth0.bird.conf")

    with pytest.raises(RoutingError, match=r'has no protocol glb4: add `include ".*/eth0.bird.conf\*";`'):
        speaker.start(routing(tmp_path))


def test_its_routes_are_announced_and_withdrawn(bird: Path, tmp_path: Path) -> None:
    path = tmp_path / "eth0.bird.conf"
    with bird.open("a") as configuration:
        configuration.write(f'include "{path}*";\n')
    bird_control.run(tmp_path / "bird.ctl", "configure")  # as at a start of the machine: glb has not written it yet
    speaker = OperatorsBird(tmp_path / "bird.ctl", path)

    speaker.start(routing(tmp_path))
    assert "203.0.113.10/32" not in routes(tmp_path)

    speaker.announce(PREFIXES, graceful_shutdown=PREFIXES)
    assert all(str(prefix) in routes(tmp_path) for prefix in PREFIXES)
    assert "BGP.community: (65001,100) (65535,0)" in routes(tmp_path)

    speaker.stop()
    assert "203.0.113.10/32" not in routes(tmp_path)


def test_a_bird_that_does_not_run_is_reported(tmp_path: Path) -> None:
    speaker = OperatorsBird(tmp_path / "bird.ctl", tmp_path / "eth0.bird.conf")

    with pytest.raises(RoutingError, match=r"bird\.ctl: BIRD does not respond: No such file or directory"):
        speaker.start(routing(tmp_path))
