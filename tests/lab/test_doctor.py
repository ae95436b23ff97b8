"""`glbctl doctor` and `glbctl probe` on hosts of the lab that are well, and on hosts with a fault that was made."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyroute2 import IPRoute

from glb.lab import Lab, hosts
from tests.lab.helpers.commands import facts, faults, lookups
from tests.lab.helpers.packets import wait_for

CLIENT = ("198.18.0.77", 47110)
GONE = "10.77.0.103"  # proxy3


@contextmanager
def changed(
    lab: Lab, host: str, change: Callable[[IPRoute], object], back: Callable[[IPRoute], object]
) -> Iterator[None]:
    def act(action: Callable[[IPRoute], object]) -> None:
        with IPRoute() as ip:
            action(ip)

    lab.within(host, lambda: act(change))
    try:
        yield
    finally:
        lab.within(host, lambda: act(back))


def index(ip: IPRoute, name: str) -> int:
    return int(ip.link_lookup(ifname=name)[0])


def test_a_lab_is_well(lab: Lab) -> None:
    assert faults(lab, "director1") == set()
    assert faults(lab, "proxy1") == set()


def test_a_proxys_file_that_was_not_loaded_is_told(lab: Lab) -> None:
    config = lab.run_dir / "proxy2.conf"

    config.write_text(config.read_text() + "\n")
    assert faults(lab, "proxy2") == {("files", "warning")}

    os.kill(lab.process_id("proxy2").pid, signal.SIGHUP)
    wait_for(lambda: not faults(lab, "proxy2"), "the file is loaded")


def test_a_connections_way_is_told_without_a_packet_sent(lab: Lab) -> None:
    with lab.open_socket("client", socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.bind(CLIENT)
        connection.connect((str(hosts.VIP4), hosts.HTTP_PORT))
        client, vip = f"{CLIENT[0]}:{CLIENT[1]}", f"{hosts.VIP4}:{hosts.HTTP_PORT}"
        [told] = facts(lab, "director1", "probe", client, vip)
        [choice] = lookups(lab, [(client, vip)], "tcp")
        assert choice is not None
        [first], [second] = (facts(lab, proxy, "probe", client, vip) for proxy in choice.proxies[:2])

    assert (told["bind"], told["action"], told["agrees"]) == (f"{vip}/tcp", "tx", True)
    assert tuple(told["sent"]) == tuple(told["hops"]) == choice.hops
    assert told["tunnel_source_port"] == choice.tunnel_source_port
    assert (first["first"], first["later"]) == ("taken", "taken")
    assert (second["first"], second["later"]) == ("taken", "sent on")


def test_a_packet_of_no_bind_is_told_to_go_to_the_stack(lab: Lab) -> None:
    [told] = facts(lab, "director1", "probe", "198.18.0.7:4711", f"{hosts.VIP4}:81")

    assert (told["bind"], told["action"], told["sent"], told["agrees"]) == (None, "pass", [], True)


def test_a_proxy_without_its_vips_and_with_open_arp_is_told(lab: Lab) -> None:
    vips = [(str(hosts.VIP4), 32), (str(hosts.VIP6), 128)]
    lab.set_sysctl("proxy1", "net.ipv4.conf.all.arp_ignore", 0)
    with changed(
        lab,
        "proxy1",
        lambda ip: [ip.addr("del", index=index(ip, "lo"), address=a, prefixlen=p) for a, p in vips],
        lambda ip: [ip.addr("add", index=index(ip, "lo"), address=a, prefixlen=p) for a, p in vips],
    ):
        assert faults(lab, "proxy1") == {("vip", "error"), ("arp_ignore", "warning")}
    lab.set_sysctl("proxy1", "net.ipv4.conf.all.arp_ignore", 1)


def test_a_directors_surroundings_are_examined(lab: Lab) -> None:
    """A proxy that is gone, an MTU as the clients', a VIP that is the director's own, a peer without a program."""
    vip = str(hosts.VIP4)
    lab.remove_proxy("proxy3")
    with (
        changed(
            lab,
            "director1",
            lambda ip: (
                ip.link("set", index=index(ip, "director1"), mtu=1500),
                ip.addr("add", index=index(ip, "lo"), address=vip, prefixlen=32),
                ip.neigh("del", dst=GONE, ifindex=index(ip, "director1")),
            ),
            lambda ip: (
                ip.link("set", index=index(ip, "director1"), mtu=hosts.DC_MTU),
                ip.addr("del", index=index(ip, "lo"), address=vip, prefixlen=32),
            ),
        ),
        changed(
            lab,
            "dc",
            lambda ip: ip.link("set", index=index(ip, "director1"), xdp_fd=-1),
            lambda ip: None,
        ),
    ):
        found = faults(lab, "director1")

    assert found == {("mtu", "warning"), ("vip", "warning"), ("backend", "error"), ("veth", "error")}
