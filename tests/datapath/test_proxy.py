# SPDX-License-Identifier: MIT
"""The proxy program, frame by frame. The sockets that it looks up are real ones, of this process, on loopback."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, TCPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.datapath import libbpf
from glb.datapath.counters import forwards_of
from glb.errors import NetworkError
from glb.lab import netns
from glb.network.namespaces import namespace_ids, within
from glb.scapy import GLBGUE, check_tunnel
from tests.model.connections import expected_by, next_of
from tests.own_network import add_addresses, lead_nowhere

from .conftest import CLIENTS, PROXY_MAC, VIPS, ProxyBench

DIRECTOR, FIRST, SECOND, THIRD = "10.0.0.1", "10.0.0.11", "10.0.0.12", "10.0.0.13"
ROUTER_MAC = "02:00:00:00:00:fe"
XDP_TX = 3
LISTENING = [(socket.AF_INET, VIPS[0], CLIENTS[0]), (socket.AF_INET6, VIPS[1], CLIENTS[1])]

pytestmark = pytest.mark.usefixtures("own_sockets")


def tunnelled(inner: Packet, hops: tuple[str, ...] = (SECOND, THIRD), next_hop: int = 0, **gue: int) -> Packet:
    return (
        Ether(src=ROUTER_MAC, dst=PROXY_MAC)
        / IP(src=DIRECTOR, dst=FIRST, id=0, flags="DF")
        / UDP(sport=0x8123, dport=19523, chksum=0)
        / GLBGUE(proto=4 if IP in inner else 41, hops=list(hops), next_hop=next_hop, **gue)
        / inner
    )


def ip(src: str, dst: str) -> Packet:
    return IPv6(src=src, dst=dst) if ":" in dst else IP(src=src, dst=dst)


def inner_frame(inner: Packet) -> bytes:
    return bytes(Ether(src=ROUTER_MAC, dst=PROXY_MAC) / inner)


@pytest.fixture(params=LISTENING, ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest, own_sockets: None) -> Iterator[socket.socket]:
    family, address, _ = request.param
    with closing(socket.create_server((address, 0), family=family)) as sock:
        yield sock


@pytest.mark.parametrize(("client", "vip"), [(client, vip) for _, vip, client in LISTENING])
def test_a_syn_is_taken(proxy: ProxyBench, client: str, vip: str) -> None:
    inner = ip(client, vip) / TCP(sport=1234, dport=80, flags="S")
    outcome = proxy.run(tunnelled(inner))
    assert (outcome.action, outcome.verdict) == ("pass", "taken_syn")
    assert outcome.frame == inner_frame(inner)


@contextmanager
def connected(listener: socket.socket) -> Iterator[tuple[str, int, socket.socket, socket.socket]]:
    """A client's address and port, its socket, and the server's."""
    [client] = [client for family, _, client in LISTENING if family == listener.family]
    with (
        closing(socket.create_connection(listener.getsockname()[:2], source_address=(client, 0))) as near,
        closing(listener.accept()[0]) as far,
    ):
        yield client, near.getsockname()[1], near, far


def test_a_segment_of_an_established_connection_is_taken(proxy: ProxyBench, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    with connected(listener) as (client, client_port, _, server):
        segment = TCP(sport=client_port, dport=port, flags="A", seq=expected_by(server))
        inner = ip(client, host) / segment / Raw(b"data")
        outcome = proxy.run(tunnelled(inner))
        assert (outcome.action, outcome.verdict) == ("pass", "taken_established")
        assert outcome.frame == inner_frame(inner)


def test_an_answer_to_an_outgoing_connection_finds_its_socket(proxy: ProxyBench, listener: socket.socket) -> None:
    """A SYN-ACK begins nothing: where no socket expects it, it has its second chance."""
    vip = listener.getsockname()[0]
    client = "198.18.0.99" if listener.family == socket.AF_INET else "2001:db8:c::99"
    lead_nowhere(client)
    with closing(socket.socket(listener.family)) as opening:
        opening.setblocking(False)
        opening.bind((vip, 0))
        opening.connect_ex((client, 80))
        port, first = opening.getsockname()[1], next_of(opening)
        for acknowledged, verdict in ((first, "taken_established"), (first + 1, "forwarded"), (first - 1, "forwarded")):
            answer = TCP(sport=80, dport=port, flags="SA", seq=7, ack=acknowledged % 2**32)
            assert proxy.run(tunnelled(ip(client, vip) / answer)).verdict == verdict


def test_segment_of_unknown_connection_is_sent_on(proxy: ProxyBench, listener: socket.socket) -> None:
    """A listener alone does not make a connection known."""
    host, port = listener.getsockname()[:2]
    [client] = [client for family, _, client in LISTENING if family == listener.family]
    inner = ip(client, host) / TCP(sport=1, dport=port, flags="PA") / Raw(b"data")
    before = tunnelled(inner)
    outcome = proxy.run(before)
    assert (outcome.action, outcome.verdict) == ("tx", "forwarded")
    packet = outcome.packet
    assert check_tunnel(packet) == []
    assert (packet[IP].src, packet[IP].dst) == (FIRST, SECOND)
    assert (packet[Ether].src, packet[Ether].dst) == (PROXY_MAC, ROUTER_MAC)
    assert packet[GLBGUE].next_hop == 1
    assert packet[GLBGUE].hops == [SECOND, THIRD]
    assert outcome.frame[-len(inner) :] == bytes(inner)
    assert packet[UDP].sport == 0x8123


def test_the_udp_checksum_stays_right_when_there_is_one(proxy: ProxyBench) -> None:
    before = tunnelled(IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A"))
    before[UDP].chksum = None
    packet = proxy.run(before).packet
    written = packet[UDP].chksum
    assert written != 0
    packet[UDP].chksum = None
    assert Ether(bytes(packet))[UDP].chksum == written


def test_what_is_sent_on_is_counted_by_the_hop_that_it_goes_to(proxy: ProxyBench) -> None:
    unknown = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    taken = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="S")
    before = Counter(forwards_of(proxy.program))

    for inner, next_hop in ((unknown, 0), (unknown, 0), (unknown, 1), (unknown, 2), (taken, 0)):
        proxy.run(tunnelled(inner, next_hop=next_hop))

    assert Counter(forwards_of(proxy.program)) - before == {ip_address(SECOND): 2, ip_address(THIRD): 1}


def test_packets_are_forwarded_to_hops_without_a_counter(proxy: ProxyBench) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    frame = bytes(tunnelled(inner, hops=("203.0.113.200", THIRD)))
    many = proxy.program.maps["wanted_hops"].info.entries + 1

    for number in range(many):
        hop = (ip_address("10.128.0.0") + number).packed
        action, _ = libbpf.run_on_frame(proxy.program.fd, frame.replace(ip_address("203.0.113.200").packed, hop))
        assert action == XDP_TX

    counted = forwards_of(proxy.program)
    assert counted[ip_address("10.128.0.0") + many - 1] == 1
    assert len(counted) < many


def test_the_count_of_a_hop_survives_a_change_of_its_mac(
    proxy: ProxyBench,
) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    hop = ip_address("10.0.0.77")
    before = forwards_of(proxy.program).get(hop, 0)

    for mac in (None, b"\x02\0\0\0\0\x0c", b"\x02\0\0\0\0\x0d"):
        if mac is not None:
            proxy.datapath.write_next_hops({hop: mac})
        outcome = proxy.run(tunnelled(inner, hops=(str(hop),)))
        assert mac is None or outcome.frame[:6] == mac

    assert forwards_of(proxy.program)[hop] == before + 3


def test_the_second_hop_sends_on_to_the_third(proxy: ProxyBench) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    packet = proxy.run(tunnelled(inner, next_hop=1)).packet
    assert (packet[IP].src, packet[IP].dst, packet[GLBGUE].next_hop) == (FIRST, THIRD, 2)


@pytest.mark.parametrize("flags", ["A", "R", "F", "FA", "PA"])
@pytest.mark.parametrize(("hops", "next_hop"), [((SECOND, THIRD), 2), ((), 0), ((SECOND,), 9)])
def test_last_hop_accepts_unknown_connections(
    proxy: ProxyBench, hops: tuple[str, ...], next_hop: int, flags: str
) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags=flags)
    outcome = proxy.run(tunnelled(inner, hops, next_hop))
    assert (outcome.action, outcome.verdict) == ("pass", "taken_last_resort")
    assert outcome.frame == inner_frame(inner)


def test_a_proxy_does_not_send_a_packet_to_itself(proxy: ProxyBench) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    outcome = proxy.run(tunnelled(inner, (FIRST, SECOND)))
    assert (outcome.verdict, outcome.frame) == ("taken_self", inner_frame(inner))


QUOTED_UDP = IPerror(src="203.0.113.10", dst="198.18.0.1", proto=17) / Raw(bytes(8))


@pytest.mark.parametrize(
    "inner",
    [
        IP(src="198.18.0.1", dst="203.0.113.10") / UDP(sport=1, dport=53) / Raw(b"query"),
        IP(src="198.18.0.1", dst="203.0.113.10") / ICMP(type=8) / Raw(b"ping"),
        IPv6(src="2001:db8::1", dst="2001:db8:f::10") / UDP(sport=1, dport=53) / Raw(b"query"),
        IPv6(src="2001:db8::1", dst="2001:db8:f::10") / ICMPv6EchoRequest(data=b"ping"),
        IP(src="198.18.0.1", dst="203.0.113.10") / ICMP(type=3, code=4) / QUOTED_UDP,
    ],
    ids=["UDP", "ping", "UDP in IPv6", "ping in IPv6", "an error about UDP"],
)
def test_what_has_no_connection_is_taken(proxy: ProxyBench, inner: Packet) -> None:
    outcome = proxy.run(tunnelled(inner))
    assert (outcome.action, outcome.verdict) == ("pass", "taken_connectionless")
    assert outcome.frame == inner_frame(inner)


def too_big(client: str, client_port: int, host: str, port: int, sequence: int) -> Packet:
    """The error that a router on the path to the client sends about a packet of the server's."""
    tcp = TCPerror(sport=port, dport=client_port, seq=sequence)
    if ":" in host:
        quoted = IPv6(src=host, dst=client) / TCP(sport=port, dport=client_port, seq=sequence)
        return IPv6(src="2001:db8:1::1", dst=host) / ICMPv6PacketTooBig(mtu=1280) / quoted
    quoted = IPerror(src=host, dst=client) / tcp
    return IP(src="192.0.2.1", dst=host) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(bytes(quoted)[:28])


def test_an_icmp_error_is_taken_where_the_quoted_connection_is(proxy: ProxyBench, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    with connected(listener) as (client, client_port, _, server):
        sent = next_of(server)
        assert proxy.run(tunnelled(too_big(client, client_port, host, port, sent))).verdict == "taken_established"
        assert proxy.run(tunnelled(too_big(client, client_port, host, port, sent + 1))).verdict == "forwarded"
        assert proxy.run(tunnelled(too_big(client, 1, host, port, sent))).verdict == "forwarded"


def test_what_is_not_a_tunnel_goes_to_the_stack_untouched(proxy: ProxyBench) -> None:
    link = Ether(src=ROUTER_MAC, dst=PROXY_MAC)
    for packet in (
        link / IP(src=DIRECTOR, dst=FIRST) / UDP(dport=19524) / Raw(bytes(60)),
        link / IP(src=DIRECTOR, dst=FIRST) / TCP(dport=19523),
        link / IPv6(src="::1", dst="::2") / UDP(dport=19523) / Raw(bytes(60)),
        link / IP(src=DIRECTOR, dst=FIRST, frag=5) / UDP(dport=19523) / Raw(bytes(60)),
        link / Raw(b""),
    ):
        outcome = proxy.run(packet)
        assert (outcome.action, outcome.verdict, outcome.frame) == ("pass", "pass_not_tunnel", bytes(packet))


INNER = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="S")


def changed(layer: type[Packet], **fields: int) -> Packet:
    packet = Ether(bytes(tunnelled(INNER)))
    for name, value in fields.items():
        setattr(packet[layer], name, value)
    return packet


MALFORMED = [
    ("GUE version 1", changed(GLBGUE, version=1), "drop_bad_tunnel"),
    ("GUE control message", changed(GLBGUE, control=1), "drop_bad_tunnel"),
    ("GUE flags", changed(GLBGUE, flags=1), "drop_bad_tunnel"),
    ("unknown private data", changed(GLBGUE, type=1), "drop_bad_tunnel"),
    ("neither IPv4 nor IPv6 inside", changed(GLBGUE, proto=47), "drop_bad_tunnel"),
    ("UDP longer than IP says", changed(UDP, len=100), "drop_bad_tunnel"),
    ("IP longer than the frame", changed(IP, len=400), "drop_bad_tunnel"),
    ("hlen too short for the hops", changed(GLBGUE, hlen=2), "drop_bad_hops"),
    ("hlen too long for the hops", changed(GLBGUE, hlen=4), "drop_bad_hops"),
    ("more hops than a header has", changed(GLBGUE, hlen=31, hop_count=30), "drop_bad_hops"),
    ("IPv6 promised, IPv4 inside", changed(GLBGUE, proto=41), "drop_bad_inner"),
]


@pytest.mark.parametrize(("packet", "verdict"), [pytest.param(p, v, id=name) for name, p, v in MALFORMED])
def test_a_malformed_tunnel_is_dropped_and_counted_by_its_reason(
    proxy: ProxyBench, packet: Packet, verdict: str
) -> None:
    outcome = proxy.run(packet)
    assert (outcome.action, outcome.verdict) == ("drop", verdict)


def test_no_truncation_of_a_tunnelled_packet_is_taken_or_sent_on(proxy: ProxyBench) -> None:
    whole = bytes(tunnelled(INNER))
    for length in range(42, len(whole)):
        assert proxy.run(whole[:length]).action == "drop", f"at {length} bytes"


def test_a_truncated_inner_packet_is_dropped(proxy: ProxyBench) -> None:
    for length in range(len(INNER)):
        packet = tunnelled(IP(src="198.18.0.1", dst="203.0.113.10"))
        packet[GLBGUE].remove_payload()
        packet = packet / Raw(bytes(INNER)[:length])
        assert proxy.run(packet).verdict == "drop_bad_inner", f"at {length} bytes"


def test_packets_are_taken_from_configured_sources_only(proxy: ProxyBench) -> None:
    """And a change of the list shuts out what it no longer names."""
    packet = tunnelled(INNER)
    for sources, verdict in (
        (["10.0.0.1"], "taken_syn"),
        (["10.0.0.0/24", "192.0.2.0/24"], "taken_syn"),
        (["192.0.2.0/24"], "drop_foreign_source"),
        ([], "taken_syn"),
    ):
        proxy.write(sources=[ip_network(source) for source in sources])
        assert proxy.run(packet).verdict == verdict, sources


def test_a_tunnel_that_ends_elsewhere_is_left_to_the_stack(proxy: ProxyBench) -> None:
    """Such as one that a proxy, which has not resolved the next hop yet, hands back to the host that it had it from."""
    for addresses, verdict in (
        ([SECOND], "pass_not_tunnel"),
        ([FIRST, SECOND], "taken_syn"),
        ([SECOND, FIRST], "taken_syn"),
        ([SECOND], "pass_not_tunnel"),
        ([], "pass_not_tunnel"),
        (None, "taken_syn"),
    ):
        proxy.write(addresses=None if addresses is None else [ip_address(address) for address in addresses])
        assert proxy.run(tunnelled(INNER)).verdict == verdict, addresses


def test_a_packet_is_forwarded_to_the_mac_of_its_next_hop(proxy: ProxyBench) -> None:
    packet = tunnelled(IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A"))
    hop = ip_address(SECOND)
    assert proxy.run(packet).packet.dst == ROUTER_MAC
    assert hop in proxy.datapath.wanted_hops()
    proxy.datapath.write_next_hops({hop: bytes.fromhex("02000000000c")})
    assert proxy.run(packet).packet.dst == "02:00:00:00:00:0c"
    proxy.datapath.write_next_hops({})
    assert proxy.run(packet).packet.dst == ROUTER_MAC
    proxy.write(gateway=bytes.fromhex("0200000000aa"))
    assert proxy.run(packet).packet.dst == "02:00:00:00:00:aa"


ECN_CASES = [
    # outer, inner, what comes out of it: RFC 6040, figure 4
    (0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 3, 3),
    (1, 0, 0), (1, 1, 1), (1, 2, 1), (1, 3, 3),
    (2, 0, 0), (2, 1, 1), (2, 2, 2), (2, 3, 3),
    (3, 0, None), (3, 1, 3), (3, 2, 3), (3, 3, 3),
]  # fmt: skip


@pytest.mark.parametrize(("outer", "inner", "after"), ECN_CASES)
@pytest.mark.parametrize("family", [4, 6])
def test_congestion_in_the_tunnel_is_carried_over(
    proxy: ProxyBench, family: int, outer: int, inner: int, after: int | None
) -> None:
    dscp = 0xB8
    if family == 4:
        packet = IP(src="198.18.0.1", dst="203.0.113.10", tos=dscp | inner)
    else:
        packet = IPv6(src="2001:db8::1", dst="2001:db8:f::10", tc=dscp | inner, fl=0xABCDE)
    packet /= TCP(sport=1, dport=80, flags="S")
    tunnel = tunnelled(packet)
    tunnel[IP].tos = outer
    outcome = proxy.run(tunnel)
    if after is None:
        assert outcome.verdict == "drop_congestion"
        return
    assert outcome.verdict == "taken_syn"
    setattr(packet, "tos" if family == 4 else "tc", dscp | after)
    assert outcome.frame == inner_frame(packet)


def test_sockets_in_other_network_namespaces_are_found(proxy: ProxyBench, lab_name: str) -> None:
    with namespace_with_listener(lab_name) as (name, port, connected_from, expected):
        inner = IP(src=CLIENTS[0], dst=VIPS[0]) / TCP(sport=connected_from, dport=port, flags="A", seq=expected)
        assert proxy.run(tunnelled(inner)).verdict == "forwarded"
        proxy.write(namespaces=namespace_ids([name]))
        assert proxy.run(tunnelled(inner)).verdict == "taken_established"
        unknown = IP(src=CLIENTS[0], dst=VIPS[0]) / TCP(sport=1, dport=port, flags="A")
        assert proxy.run(tunnelled(unknown)).verdict == "forwarded"


def test_a_namespace_that_is_not_there_is_named() -> None:
    with pytest.raises(NetworkError, match="network namespace nowhere: /run/netns/nowhere: No such file"):
        namespace_ids(["nowhere"])


@contextmanager
def namespace_with_listener(name: str) -> Iterator[tuple[str, int, int, int]]:
    """A network namespace with an established connection on its loopback: name, server's port, client's port, and the
    number that the server expects."""
    netns.create(name)
    try:
        with ExitStack() as sockets:
            yield name, *within(name, lambda: connect_on_loopback(sockets))
    finally:
        netns.remove(name)


def connect_on_loopback(sockets: ExitStack) -> tuple[int, int, int]:
    add_addresses("lo", (VIPS[0], CLIENTS[0]))
    listener = sockets.enter_context(closing(socket.create_server((VIPS[0], 0))))
    port = listener.getsockname()[1]
    client = sockets.enter_context(closing(socket.create_connection((VIPS[0], port), source_address=(CLIENTS[0], 0))))
    server = sockets.enter_context(closing(listener.accept()[0]))
    return port, client.getsockname()[1], expected_by(server)


def test_hops_that_nothing_is_sent_to_any_more_are_forgotten(proxy: ProxyBench) -> None:
    inner = IP(src="198.18.0.1", dst="203.0.113.10") / TCP(sport=1, dport=80, flags="A")
    used, idle = ip_address("10.0.0.78"), ip_address("10.0.0.79")
    for hop in (used, idle):
        proxy.run(tunnelled(inner, hops=(str(hop),)))
    proxy.datapath.forget_wanted({idle})
    assert {used, idle} & proxy.datapath.wanted_hops() == {used}
    assert idle not in forwards_of(proxy.program)
