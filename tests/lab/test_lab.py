# SPDX-License-Identifier: MIT
"""The lab itself: what the other tests take for granted when they use it."""

import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from scapy.layers.inet import TCP
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import Lab, hosts, netns
from glb.lab.capture import FrameCapture, LabFrame
from glb.lab.demo import run_demo
from glb.lab.events import RequestOutcome

PROXY1 = hosts.proxy(1)
DIRECTORS = [hosts.director(1), hosts.director(2)]


def address(host: hosts.LabHost, family: str) -> str:
    return next(str(one.ip) for one in host.addresses if str(one.version) == family)


def send_to_vip(lab: Lab, family: str, clients: int) -> None:
    """One UDP packet to the VIP from each of many client addresses."""
    af = socket.AF_INET if family == "4" else socket.AF_INET6
    for number in range(clients):
        client = hosts.client_address(int(family), number)
        with lab.open_socket("client", af, socket.SOCK_DGRAM) as sender:
            sender.bind((str(client), 0))
            sender.sendto(b"which director?", (str(hosts.vip_for(client)), 53))


def of_clients(frames: Sequence[LabFrame], family: str) -> list[LabFrame]:
    """The frames from clients to the VIP."""
    ether_type = {"4": b"\x08\x00", "6": b"\x86\xdd"}[family]
    return [frame for frame in frames if frame.data[12:14] == ether_type and b"which director?" in frame.data]


@pytest.mark.parametrize("family", ["4", "6"])
def test_every_proxy_answers_on_its_own_address(bare_lab: Lab, family: str) -> None:
    for proxy in bare_lab.proxies:
        arguments = ("spread", "--count", "10", "--family", family, "--server", address(proxy, family))
        with bare_lab.traffic(*arguments) as traffic:
            summary = traffic.wait()

        assert summary.flawless
        assert {finished.proxy for finished in traffic.finished} == {proxy.name}


def test_curl_from_the_client_reaches_a_proxy(bare_lab: Lab) -> None:
    done = bare_lab.run("client", ["curl", "--silent", f"http://{address(PROXY1, '4')}/"])

    assert (done.returncode, done.stdout) == (0, "proxy1\n")


@pytest.mark.parametrize("family", ["4", "6"])
def test_the_router_spreads_clients_over_both_directors(bare_lab: Lab, family: str) -> None:
    with bare_lab.capture("director1") as one, bare_lab.capture("director2") as two:
        send_to_vip(bare_lab, family, clients=100)
        shares = wait_for_shares((one, two), family, 100)

    assert sum(shares) == 100
    assert min(shares) >= 20


def wait_for_shares(captures: Sequence[FrameCapture], family: str, total: int) -> list[int]:
    """How many of the clients' packets each capture has, once all are there."""
    deadline = time.monotonic() + 10
    while sum(shares := [len(of_clients(c.frames(), family)) for c in captures]) < total:
        assert time.monotonic() < deadline, f"only {shares} of {total} packets came"
        time.sleep(0.01)
    return shares


@pytest.mark.parametrize("family", ["4", "6"])
def test_withdrawn_director_gets_no_packets_until_announced(bare_lab: Lab, family: str) -> None:
    bare_lab.withdraw("director1")
    with bare_lab.capture("director1") as one, bare_lab.capture("director2") as two:
        send_to_vip(bare_lab, family, clients=50)
        withdrawn = wait_for_shares((one, two), family, 50)

    bare_lab.announce("director1")
    with bare_lab.capture("director1") as one, bare_lab.capture("director2") as two:
        send_to_vip(bare_lab, family, clients=50)
        announced = wait_for_shares((one, two), family, 50)

    assert withdrawn == [0, 50]
    assert min(announced) > 0


def test_jumbo_frames_cross_the_bridge(bare_lab: Lab) -> None:
    payload = bytes(hosts.DC_MTU - 28)
    receiver = bare_lab.open_socket("proxy1", socket.AF_INET, socket.SOCK_DGRAM)
    sender = bare_lab.open_socket("director1", socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender, bare_lab.capture("dc", "proxy1") as capture:
        receiver.bind((address(PROXY1, "4"), 5000))
        receiver.settimeout(10)
        sender.sendto(payload, (address(PROXY1, "4"), 5000))
        arrived = receiver.recv(65_536)

    assert arrived == payload
    assert max(len(frame.data) for frame in capture.frames()) == hosts.DC_MTU + 14


def test_checksums_are_on_the_wire_where_xdp_sees_the_packets(bare_lab: Lab) -> None:
    with bare_lab.capture("dc", "proxy1") as capture:
        arguments = ("download", "--count", "2", "--file", "64k", "--rate", "0", "--family", "4")
        with bare_lab.traffic(*arguments, "--server", address(PROXY1, "4")) as traffic:
            assert traffic.wait().flawless

    packets = [frame.packet() for frame in capture.frames()]
    segments = [packet for packet in packets if TCP in packet]
    assert len(segments) > 20
    for segment in segments:
        assert segment[TCP].chksum == recomputed(segment)


def recomputed(packet: Ether) -> int:
    """The TCP checksum that the packet should have."""
    bare = packet.copy()
    del bare[TCP].chksum
    return int(Ether(bytes(bare))[TCP].chksum)


def test_no_proxy_answers_for_a_vip_on_the_wire(bare_lab: Lab) -> None:
    router, router_mac = hosts.ROUTER, hosts.mac(hosts.ROUTER)
    asking4 = Ether(src=router_mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc=router_mac, psrc=address(router, "4"), pdst=str(hosts.VIP4)
    )
    asking6 = (
        Ether(src=router_mac, dst="33:33:00:00:00:01")
        / IPv6(src=address(router, "6"), dst="ff02::1", hlim=255)
        / ICMPv6ND_NS(tgt=str(hosts.VIP6))
        / ICMPv6NDOptSrcLLAddr(lladdr=router_mac)
    )
    answerable = Ether(src=router_mac, dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc=router_mac, psrc=address(router, "4"), pdst=address(PROXY1, "4")
    )
    with bare_lab.capture("router") as capture, open_raw(bare_lab, "router") as sender:
        for question in (asking4, asking6, answerable):
            sender.send(bytes(question))
        capture.wait_for(lambda frame: not frame.sent and ARP in frame.packet())

    answers = [frame.data for frame in capture.frames() if not frame.sent]
    assert not any(hosts.VIP4.packed in answer or hosts.VIP6.packed in answer for answer in answers)


def open_raw(lab: Lab, host: str) -> socket.socket:
    """A socket that sends whole frames on a host's interface."""
    opened = lab.open_socket(host, socket.AF_PACKET, socket.SOCK_RAW)
    opened.bind((host, 0))
    return opened


def test_a_download_that_ends_early_counts_as_cut(bare_lab: Lab) -> None:
    server = address(hosts.proxy(3), "4")
    arguments = ("download", "--count", "1", "--file", "1m", "--rate", "64k", "--server", server)
    with bare_lab.traffic(*arguments, "--family", "4") as traffic:
        traffic.wait_for(lambda event: True)
        bare_lab.kill("proxy3", "nginx")
        summary = traffic.wait()

    assert (summary.requests, summary.failed, summary.cut) == (1, 0, 1)
    assert traffic.finished[0].outcome is RequestOutcome.CUT
    assert traffic.finished[0].reason


def test_a_proxy_can_be_added_and_removed(bare_lab: Lab) -> None:
    added = bare_lab.add_proxy(daemon=False)
    with bare_lab.traffic("spread", "--count", "5", "--family", "4", "--server", address(added, "4")) as traffic:
        assert traffic.wait().flawless

    bare_lab.remove_proxy(added.name)

    assert added.name not in [host.name for host in Lab.load(bare_lab.name).proxies]
    assert not netns.path(f"glb-{bare_lab.name}-{added.name}").exists()
    assert added.name not in bare_lab.within("dc", lambda: [name for _, name in socket.if_nameindex()])


def test_exec_passes_environment_and_exit_status(bare_lab: Lab) -> None:
    done = bare_lab.run("client", ["bash", "-c", 'echo "$GLB_PIN_DIR $GLB_RUN_DIR"'])

    assert done.stdout.split() == [f"/sys/fs/bpf/glb-{bare_lab.name}", f"/run/glb-{bare_lab.name}"]
    assert bare_lab.exec("client", ["bash", "-c", "exit 7"]) == 7


def test_unknown_host_is_refused_with_the_known_ones(bare_lab: Lab) -> None:
    with pytest.raises(LabError, match="no host 'proxy99'; it has client, router, dc, director1"):
        bare_lab.exec("proxy99", ["true"])


def test_status_lists_hosts_addresses_and_processes(bare_lab: Lab) -> None:
    status = json.loads(json.dumps(asdict(Lab.load(bare_lab.name).status())))

    by_name = {host["name"]: host for host in status["hosts"]}
    assert by_name["proxy1"]["addresses"] == [address(PROXY1, "4"), address(PROXY1, "6")]
    assert [p["program"] for p in by_name["proxy1"]["processes"] if p["alive"]] == ["nginx"]
    assert by_name["director1"]["announced"]


def test_nothing_is_left_of_a_lab_that_is_taken_down(lab_name: str) -> None:
    lab = Lab.up(lab_name, daemons=False, directors=1, proxies=1)
    server = lab.process_id("proxy1", "nginx")

    lab.down()

    assert_nothing_left(lab_name)
    assert not server.is_alive()


def test_a_lab_is_swept_after_its_owner_was_killed(lab_name: str) -> None:
    server = bring_up_and_be_killed(lab_name)
    assert server.is_alive()

    swept = Lab.sweep()

    assert lab_name in swept
    assert_nothing_left(lab_name)
    assert not server.is_alive()


def test_a_lab_comes_up_in_place_of_what_is_left_of_it(lab_name: str) -> None:
    old_server = bring_up_and_be_killed(lab_name)

    with Lab.up(lab_name, daemons=False, directors=1, proxies=1, owned=True) as lab:
        assert lab.run("client", ["curl", "-s", f"http://{address(PROXY1, '4')}/"]).stdout == "proxy1\n"

    assert not old_server.is_alive()


def test_a_lab_without_owner_is_not_swept(lab_name: str) -> None:
    Lab.up(lab_name, daemons=False, directors=1, proxies=1)

    assert lab_name not in Lab.sweep()
    assert lab_name in Lab.names()


def test_a_lab_in_use_is_not_replaced(bare_lab: Lab) -> None:
    with pytest.raises(LabError, match="in use by process"):
        Lab.up(bare_lab.name, daemons=False)


def test_nothing_is_left_of_a_lab_that_does_not_come_up(lab_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glb.lab.nginx.NGINX", "/bin/false")

    with pytest.raises(LabError, match="has ended"):
        Lab.up(lab_name, daemons=False, directors=1, proxies=1)

    assert_nothing_left(lab_name)


def test_removing_a_lab_leaves_one_whose_name_begins_the_same(lab_name: str) -> None:
    longer = f"{lab_name}-b"
    with Lab.up(longer, daemons=False, directors=1, proxies=1, owned=True) as other:
        Lab.up(lab_name, daemons=False, directors=1, proxies=1).down()

        assert other.run("client", ["true"]).returncode == 0


@pytest.mark.slow
def test_the_walk_through_holds(lab_name: str) -> None:
    said = io.StringIO()
    with Lab.up(lab_name, owned=True) as lab:
        held = run_demo(lab, Console(file=said, width=80))

    assert held, said.getvalue()
    assert "connections cut: 0" in said.getvalue()
    assert_nothing_left(lab_name)


def assert_nothing_left(name: str) -> None:
    assert name not in Lab.names()
    assert not Path(f"/run/glb-{name}").exists()
    assert not Path(f"/sys/fs/bpf/glb-{name}").exists()
    assert netns.names(f"glb-{name}-") == []


def bring_up_and_be_killed(name: str) -> ProcessId:
    """A lab whose owner is killed once it is up. Returns a web server that outlives the owner."""
    program = (
        "import sys; from glb.lab import Lab;"
        f"lab = Lab.up({name!r}, daemons=False, directors=1, proxies=1, owned=True);"
        "print('up', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(signal.SIGKILL)
    return Lab.load(name).process_id("proxy1", "nginx")
