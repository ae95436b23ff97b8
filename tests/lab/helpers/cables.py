# SPDX-License-Identifier: MIT
"""A host's network interface that is taken out, and put in again as another one."""

from collections.abc import Sequence
from functools import partial

from pyroute2 import IPRoute

from glb.lab import Lab, hosts, links, routes
from glb.lab.hosts import IPAddress

NEW_MAC = "02:00:0a:4d:ff:02"


def unplug(lab: Lab, name: str) -> None:
    """Take a host's interface away, with its addresses and routes."""
    links.remove(lab.namespace(name), name)


def plug_in_again(lab: Lab, name: str) -> None:
    """A new interface of the host's name, with another index and MAC; the router notices at once."""
    host, switch = lab.namespace(name), lab.namespace("dc")
    links.add_veth(host, name, NEW_MAC, hosts.DC_MTU, peer_namespace=switch, peer=name)
    links.join_bridge(switch, "dc", name)
    links.attach_pass_program(switch, name)
    links.add_addresses(host, name, lab.host(name).addresses)
    for network in (routes.EVERYWHERE4, routes.EVERYWHERE6):
        gateway = next(a.ip for a in hosts.ROUTER.addresses if a.version == network.version)
        routes.add(host, network, gateway)
    lab.within("router", partial(_learn_mac, [address.ip for address in lab.host(name).addresses]))


def _learn_mac(addresses: Sequence[IPAddress]) -> None:
    """As by an announcement of the new MAC."""
    with IPRoute() as ip:
        for address in addresses:
            index = ip.link_lookup(ifname=hosts.ROUTER.name)[0]
            ip.neigh("replace", dst=str(address), lladdr=NEW_MAC, ifindex=index, state="reachable")
