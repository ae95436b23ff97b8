# SPDX-License-Identifier: MIT
"""The program for a veth's other end, by the command that attaches it."""

import pytest
from pyroute2 import IPRoute
from typer.testing import CliRunner

from glb.ctl.main import app
from glb.datapath import libbpf, pass_program
from glb.errors import DatapathError
from glb.network.interface import find_interface, xdp_attached
from tests.own_network import own_network


def test_the_program_is_attached_and_detached_by_the_command() -> None:
    with own_network(), IPRoute() as ip:
        ip.link("add", kind="veth", ifname="near", peer={"ifname": "far"})
        for _ in range(2):  # once more changes nothing
            assert CliRunner().invoke(app, ["xdp-pass", "attach", "far"]).exit_code == 0
        assert xdp_attached(find_interface("far")) is not None
        assert CliRunner().invoke(app, ["xdp-pass", "detach", "far"]).exit_code == 0
        assert xdp_attached(find_interface("far")) is None


def test_another_program_is_left_alone() -> None:
    with own_network(), IPRoute() as ip:
        ip.link("add", kind="veth", ifname="near", peer={"ifname": "far"})
        far = find_interface("far")
        program = libbpf.load_xdp("other", b"\xb7\0\0\0\2\0\0\0\x95\0\0\0\0\0\0\0", "GPL")
        libbpf.attach_xdp(far.index, program)

        with pytest.raises(DatapathError, match="another XDP program already, other"):
            pass_program.attach(far)
        with pytest.raises(DatapathError, match="another XDP program, other"):
            pass_program.detach(far)
        assert xdp_attached(far) is not None
