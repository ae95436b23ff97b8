"""Directors and proxies find the MACs on their ways by themselves, and notice when one changes."""

import time
from itertools import count

from pyroute2 import IPRoute

from glb.lab import Lab, hosts
from glb.scapy import GLBGUE

NEW_MAC = "02:00:0a:4d:ff:01"
BOUND_S = 40.0
ENOUGH_FOR_BOTH_DIRECTORS = 12  # each connection has a port of its own, by which the router chooses


def proxy_for(lab: Lab, client: str) -> str:
    """Which proxy answers this client; nothing if none does within a second."""
    url = f"http://{hosts.VIP4}/"
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
