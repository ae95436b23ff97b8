# SPDX-License-Identifier: MIT
"""Directors and proxies find the MACs on their ways by themselves, and the MTUs, and notice when one changes."""

import subprocess
import time
from itertools import count

from pyroute2 import IPRoute

from glb.lab import Lab, hosts
from glb.lab.process import argv_in
from glb.scapy import GLBGUE
from tests.lab.helpers.commands import counts, facts, faults
from tests.lab.helpers.packets import wait_for

NEW_MAC = "02:00:0a:4d:ff:01"
BOUND_S = 40.0
ENOUGH_FOR_BOTH_DIRECTORS = 12  # each connection has a port of its own, by which the router chooses


def proxy_for(lab: Lab, client: str, path: str = "") -> str:
    """Which proxy answers this client; nothing if none does within a second."""
    url = f"http://{hosts.VIP4}/{path}"
    return lab.run("client", ["curl", "-s", "--max-time", "1", "--interface", client, url]).stdout.strip()


def a_client_of(lab: Lab, proxy: str) -> str:
    addresses = (str(hosts.client_address(4, number)) for number in count(1))
    return next(client for client in addresses if proxy_for(lab, client) == proxy)


def change_mac(interface: str) -> None:
    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=interface)[0], address=NEW_MAC)


def test_a_proxy_that_gets_another_mac_is_found_again(lab: Lab) -> None:
    client = a_client_of(lab, "proxy1")
    lab.set_sysctl("proxy1", "net.ipv4.conf.proxy1.arp_notify", 1)
    lab.within("proxy1", lambda: change_mac("proxy1"))
    deadline = time.monotonic() + BOUND_S
    in_a_row = 0
    with lab.capture("dc", "proxy1") as capture:
        while in_a_row < ENOUGH_FOR_BOTH_DIRECTORS:
            assert time.monotonic() < deadline, "a director still sends to the old MAC"
            in_a_row = in_a_row + 1 if proxy_for(lab, client) == "proxy1" else 0
        capture.wait_for(lambda frame: frame.packet().dst == NEW_MAC and GLBGUE in frame.packet())


def ip(lab: Lab, host: str, words: str) -> None:
    subprocess.run(argv_in(lab.namespace(host), ["ip", *words.split()]), check=True)


def path_mtus(lab: Lab, director: str) -> dict[str, int]:
    found: dict[str, int] = facts(lab, director, "director", "status", "--iface", director)[0]["path_mtus"]
    return found


def test_a_smaller_path_mtu_is_learned_and_sent_to_clients(lab: Lab) -> None:
    """The router's link to the proxy takes 1400 bytes; a request of two full segments is longer than that with the
    tunnel's headers."""
    proxy, router = hosts.proxy(3).ipv4, hosts.ROUTER.ipv4
    assert proxy
    assert router
    directors = [director.name for director in lab.directors]
    client = a_client_of(lab, "proxy3")
    long_request = "?" + "x" * 2800

    def learned(_: str) -> bool:
        return {str(proxy.ip): 1400} in [path_mtus(lab, director) for director in directors]

    ip(lab, "router", f"route add {proxy.ip}/32 dev router mtu lock 1400")
    for director in directors:
        ip(lab, director, f"route add {proxy.ip}/32 via {router.ip}")
    try:
        wait_for(lambda: learned(proxy_for(lab, client, long_request)), "a director learns the path's MTU")
        wait_for(lambda: proxy_for(lab, client, long_request) == "proxy3", "a long request is answered")
        assert all(("mtu", "error") not in faults(lab, director) for director in directors)
        met = counts(lab)
        assert sum(met[director]["pass_path_mtu"] for director in directors) > 0
        assert sum(met[director]["answered_too_big"] for director in directors) > 0
    finally:
        for director in directors:
            ip(lab, director, f"route del {proxy.ip}/32")
        ip(lab, "router", f"route del {proxy.ip}/32")


def test_a_directors_own_route_limits_the_path(lab: Lab) -> None:
    proxy = hosts.proxy(2).ipv4
    assert proxy
    ip(lab, "director1", f"route add {proxy.ip}/32 dev director1 mtu lock 1450")
    try:
        wait_for(lambda: path_mtus(lab, "director1").get(str(proxy.ip)) == 1450, "the route's MTU is seen")
        assert "the path MTU to 10.77.0.102 is 1450 bytes" in lab.log("director1")
        assert ("mtu", "warning") in faults(lab, "director1")
    finally:
        ip(lab, "director1", f"route del {proxy.ip}/32")
    wait_for(lambda: str(proxy.ip) not in path_mtus(lab, "director1"), "the path is as large as before again")
