# SPDX-License-Identifier: MIT
"""What is pinned, and that programs that are not glb can use it."""

import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from glb.lab import Lab, hosts
from glb.lab.process import argv_in
from glb.scapy import check_tunnel
from tests.lab.helpers import outsider
from tests.lab.helpers.commands import counts, drained, lookups
from tests.lab.helpers.kernel import pinned_id, xdp_program
from tests.lab.helpers.packets import tunnel_of

XDP_PASS, XDP_TX = 2, 3
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "pins.md"


def documented(role: str) -> set[str]:
    """The names in the tables of docs/pins.md: those of both roles, and those after "for a <role>:"."""
    both, *parts = DOCUMENTATION.read_text().split("\nand for a ")
    own = next(part for part in parts if part.startswith(f"{role}:"))
    rows = [line for text in (both, own.split("\n\n## ")[0]) for line in text.splitlines()]
    return {line.split("`")[1] for line in rows if line.startswith("| `")}


@pytest.fixture(scope="module")
def lab(unchecked_lab: Lab) -> Lab:
    """Packets are counted here, so there must be none but the tests' own."""
    return unchecked_lab


def ask_outsider(lab: Lab, host: str, *arguments: str, stdin: bytes = b"") -> list[str]:
    """Run the program that knows nothing of glb (-I: not even where it lies), on a host; its lines."""
    command = [sys.executable, "-I", str(Path(outsider.__file__)), *arguments]
    done = subprocess.run(argv_in(lab.namespace(host), command), input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def syn_for(director: hosts.LabHost) -> bytes:
    packet = IP(src="198.18.7.7", dst=str(hosts.VIP4)) / TCP(sport=4711, dport=80, flags="S")
    return bytes(Ether(src=hosts.mac(hosts.ROUTER), dst=hosts.mac(director)) / packet)


@pytest.mark.parametrize("host", ["director1", "director2", "proxy1"])
def test_pins_have_their_documented_names(lab: Lab, host: str) -> None:
    folder = lab.pin_dir / host

    assert {path.name for path in folder.iterdir()} == documented(lab.host(host).role)
    assert pinned_id(folder / "program") == xdp_program(lab, host)


def test_another_program_runs_the_pinned_director_on_a_packet(lab: Lab) -> None:
    frame = syn_for(lab.host("director1"))

    action, out = ask_outsider(lab, "director1", "run", str(lab.pin_dir / "director1" / "program"), stdin=frame)

    tunnel = tunnel_of(bytes.fromhex(out))
    assert int(action) == XDP_TX
    assert tunnel is not None
    assert check_tunnel(tunnel.frame) == []
    assert tunnel.inner.packet == frame[14:]
    [told] = lookups(lab, [tunnel.inner.flow], "tcp")
    assert told is not None
    assert (tunnel.hops, tunnel.source_port) == (told.hops, told.tunnel_source_port)


def test_another_program_can_run_the_pinned_proxy(lab: Lab) -> None:
    frame = syn_for(lab.host("proxy1"))

    action, out = ask_outsider(lab, "proxy1", "run", str(lab.pin_dir / "proxy1" / "program"), stdin=frame)

    assert (int(action), bytes.fromhex(out)) == (XDP_PASS, frame)


def test_another_program_can_read_the_pinned_counters(lab: Lab) -> None:
    folder = lab.pin_dir / "director1"
    ask_outsider(lab, "director1", "run", str(folder / "program"), stdin=syn_for(lab.host("director1")))

    [line] = ask_outsider(lab, "director1", "counters", str(folder / "counters"))
    told = counts(lab)["director1"]

    # The first counter is none: it is of what is not a verdict.
    assert told["encapsulated"] > 0
    assert [int(word) for word in line.split()][1 : 1 + 4] == list(told.values())[:4]


def test_a_reload_leaves_no_stale_binds_in_the_pinned_map(lab: Lab) -> None:
    binds = str(lab.pin_dir / "director1" / "binds")
    before = ask_outsider(lab, "director1", "keys", binds)

    with drained(lab, "proxy1"):
        between = ask_outsider(lab, "director1", "keys", binds)
    after = ask_outsider(lab, "director1", "keys", binds)

    assert int(before[0]) >= 4
    assert before == between == after


@pytest.mark.parametrize("host", ["director1", "proxy1"])
def test_nothing_is_left_of_a_daemon_that_is_stopped(lab: Lab, host: str) -> None:
    assert (lab.run_dir / f"{host}.status.json").exists()

    lab.stop(host)

    assert not (lab.pin_dir / host).exists()
    assert not (lab.run_dir / f"{host}.status.json").exists()
    assert xdp_program(lab, host) is None
    assert "detached" in lab.log(host)
