# SPDX-License-Identifier: MIT
"""What leaves the directors: the tunnel byte by byte, and where `glbctl lookup` says that it goes."""

import random
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.lab import Lab, hosts
from glb.lab.capture import FrameCapture
from glb.lab.hosts import IPAddress
from glb.scapy import check_tunnel
from tests.lab.helpers.commands import Choice, counts, growth, lookups
from tests.lab.helpers.packets import (
    Inner,
    Sender,
    Tap,
    Tunnel,
    delivered,
    ip_layer,
    received,
    send_paced,
    wait_for,
)

CLIENTS = 1000
DIRECTORS = ("director1", "director2")
TRANSPORTS = {"tcp": TCP(dport=80, flags="S"), "udp": UDP(dport=53)}


@pytest.fixture(scope="module")
def lab(unchecked_lab: Lab) -> Lab:
    """Packets are counted here, so there must be none but the tests' own."""
    return unchecked_lab


@dataclass(frozen=True, slots=True)
class Ports:
    """The captures on the directors' bridge ports."""

    captures: dict[str, FrameCapture]

    @property
    def tap(self) -> Tap:
        return Tap(*self.captures.values())

    def delivered(self) -> list[Inner]:
        """What the directors have been handed for the VIPs."""
        return [
            inner for capture in self.captures.values() for inner in delivered(capture.frames(), hosts.VIP4, hosts.VIP6)
        ]


@contextmanager
def captured(lab: Lab) -> Iterator[Ports]:
    with lab.capture("dc", "director1") as one, lab.capture("dc", "director2") as two:
        yield Ports({"director1": one, "director2": two})


def random_clients(family: int, seed: str) -> list[tuple[IPAddress, int]]:
    """Addresses and ports, all addresses different."""
    dice = random.Random(seed)
    network = hosts.CLIENTS4 if family == 4 else hosts.CLIENTS6
    numbers = dice.sample(range(1, min(network.num_addresses - 1, 1 << 62)), CLIENTS)
    return [(network[number], dice.randrange(1024, 65536)) for number in numbers]


def from_client(client: IPAddress, port: int, transport: Packet) -> Packet:
    layer = transport.copy()
    layer.sport = port
    return ip_layer(client, hosts.vip_for(client)) / layer


def check_against_lookup(lab: Lab, tunnels: Sequence[Tunnel], proto: str) -> None:
    """Each tunnel's hops and port are those that `glbctl lookup` tells for its flow."""
    told = lookups(lab, [tunnel.inner.flow for tunnel in tunnels], proto)
    seen = [Choice(tunnel.hops, tunnel.source_port) for tunnel in tunnels]
    assert seen == told


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_thousand_random_clients_are_tunnelled_as_lookup_says(lab: Lab, family: int, proto: str) -> None:
    clients = random_clients(family, seed=f"{family} {proto}")
    packets = [from_client(*client, TRANSPORTS[proto]) for client in clients]

    with captured(lab) as ports, Sender(lab) as sender:
        tap = ports.tap
        send_paced(sender, packets, lambda: len({t.inner.source for t in tap.tunnels()}))

    tunnels = tap.tunnels()
    assert [check_tunnel(tunnel.frame) for tunnel in tunnels if check_tunnel(tunnel.frame)] == []
    assert {(tunnel.inner.source, tunnel.inner.source_port) for tunnel in tunnels} == set(clients)
    check_against_lookup(lab, tunnels, proto)


@pytest.mark.parametrize("family", [4, 6])
def test_the_tunnel_carries_the_packet_unchanged(lab: Lab, family: int) -> None:
    clients = random_clients(family, seed=f"untouched {family}")[:100]
    bodies = [Raw(bytes(size)) for size in range(0, 1400, 14)]
    packets = [from_client(*client, UDP(dport=53)) / body for client, body in zip(clients, bodies, strict=True)]

    with captured(lab) as ports, Sender(lab) as sender:
        tap = ports.tap
        send_paced(sender, packets, lambda: len(tap.tunnels()))

    for name, capture in ports.captures.items():
        address = str(lab.host(name).addresses[0].ip)
        sent = Tap(capture).tunnels()
        got = delivered(capture.frames(), hosts.VIP4, hosts.VIP6)
        assert Counter(tunnel.inner.packet for tunnel in sent) == Counter(inner.packet for inner in got)
        assert {tunnel.source for tunnel in sent} == {address}
        assert len(sent) >= 20


@pytest.mark.parametrize("family", [4, 6])
def test_one_flow_keeps_one_tunnel_port(lab: Lab, family: int) -> None:
    client = hosts.client_address(family, 77)
    with captured(lab) as ports, Sender(lab) as sender:
        tap = ports.tap
        packet = from_client(client, 4711, UDP(dport=53))
        send_paced(sender, [packet] * 20, lambda: len(tap.tunnels()))

    assert len({(tunnel.hops, tunnel.source_port) for tunnel in tap.tunnels()}) == 1


@pytest.mark.parametrize("family", [4, 6])
def test_packets_without_a_bind_reach_the_directors_stack(lab: Lab, family: int) -> None:
    client = hosts.client_address(family, 5)
    vip = hosts.vip_for(client)
    unbound_address = (hosts.VIP_NET4 if family == 4 else hosts.VIP_NET6)[99]
    unbound = [
        ip_layer(client, vip) / UDP(sport=9, dport=80) / b"a bound port, but not of UDP",
        ip_layer(client, vip) / TCP(sport=9, dport=81, flags="S"),
        ip_layer(client, unbound_address) / UDP(sport=9, dport=53) / b"no such VIP",
        *([ip_layer(client, vip) / ICMP(type=13)] if family == 4 else []),
    ]
    before = counts(lab)
    with (
        captured(lab) as ports,
        lab.capture("director1") as one,
        lab.capture("director2") as two,
        Sender(lab) as sender,
    ):
        for packet in unbound:
            sender.send(packet)
        wait_for(lambda: len(at_stack(one, two, client)) == len(unbound), "the stacks get the packets")
        handed = [i for port in ports.captures.values() for i in delivered(port.frames(), vip, unbound_address)]

    assert Counter(inner.packet for inner in at_stack(one, two, client)) == Counter(inner.packet for inner in handed)
    assert ports.tap.tunnels() == []
    grown = growth(before, counts(lab))
    assert sum(grown[name].get("pass_no_bind", 0) for name in DIRECTORS) >= len(unbound)
    assert sum(grown[name].get("encapsulated", 0) for name in DIRECTORS) == 0


def at_stack(one: FrameCapture, two: FrameCapture, client: IPAddress) -> list[Inner]:
    """What of a client's packets XDP has let pass on the two directors."""
    return [inner for inner in received([*one.frames(), *two.frames()]) if inner.source == client]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_packets_to_the_directors_own_address_reach_its_stack(lab: Lab, family: int) -> None:
    client = hosts.client_address(4 if family == socket.AF_INET else 6, 6)
    address = str(lab.host("director1").addresses[family == socket.AF_INET6].ip)
    receiver = lab.open_socket("director1", family, socket.SOCK_DGRAM)
    sender = lab.open_socket("client", family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address, 53))
        receiver.settimeout(10)
        sender.bind((str(client), 0))
        sender.sendto(b"for the director", (address, 53))
        data, (source, *_) = receiver.recvfrom(100)

    assert (data, source) == (b"for the director", str(client))


@pytest.mark.parametrize("family", [4, 6])
def test_a_proxy_answers_a_tunnelled_echo(lab: Lab, family: int) -> None:
    client = hosts.client_address(family, 33)
    question = echo(client)
    before = counts(lab)
    with captured(lab) as ports, lab.capture("client") as at_client, Sender(lab) as sender:
        sender.send(question)
        answer = at_client.wait_for(lambda frame: not frame.sent and is_echo_reply(frame.packet()))
    tunnel = next(t for t in ports.tap.tunnels() if t.inner.source == client)

    assert check_tunnel(tunnel.frame) == []
    # For IPv4, lookup takes the identification, which the tunnel's port depends on, in the place of a port.
    flow = (f"{client}:{0x4242}" if family == 4 else f"[{client}]:0", str(hosts.vip_for(client)))
    [told] = lookups(lab, [flow], "icmp")
    assert told is not None
    assert tunnel.hops == told.hops
    assert family == 6 or tunnel.source_port == told.tunnel_source_port
    assert growth(before, counts(lab))[told.proxies[0]]["taken_connectionless"] == 1
    reply = answer.packet()
    assert bytes(reply[ICMP].payload if family == 4 else reply[ICMPv6EchoReply].data) == b"are you there?"


def echo(client: IPAddress) -> Packet:
    if client.version == 4:
        return IP(src=str(client), dst=str(hosts.VIP4), id=0x4242) / ICMP(id=7, seq=1) / b"are you there?"
    return IPv6(src=str(client), dst=str(hosts.VIP6)) / ICMPv6EchoRequest(id=7, seq=1, data=b"are you there?")


def is_echo_reply(packet: Ether) -> bool:
    return ICMPv6EchoReply in packet or (ICMP in packet and packet[ICMP].type == 0)
