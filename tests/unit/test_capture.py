# SPDX-License-Identifier: MIT
"""Capture filters as text, and the events of captured packets."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from glb.capture.dissect import event_of
from glb.capture.event import Event, of_line, to_line
from glb.capture.filter import CaptureFilter, parse_filter
from glb.capture.merge import HOLD_SECONDS, Merge
from glb.capture.pcapng import CaptureFile
from glb.capture.records import CapturedFrame, CapturedPacket
from glb.datapath.verdicts import verdicts_of
from glb.errors import CaptureError
from glb.scapy import GLBGUE


def test_a_filter_is_read_word_by_word() -> None:
    assert parse_filter([]) == CaptureFilter()
    assert parse_filter(["client", "198.51.100.0/24", "and", "port", "443"]) == CaptureFilter(
        client=ip_network("198.51.100.0/24"), port=443
    )
    assert parse_filter(["vip 2001:db8::1 client-port 7 proto udp"]) == CaptureFilter(
        vip=ip_network("2001:db8::1"), client_port=7, protocol=17
    )
    assert parse_filter(["verdict forwarded"]).verdicts == {"forwarded"}
    assert {"drop_bad_ip", "drop_bad_hops"} < parse_filter(["verdict drop"]).verdicts
    assert parse_filter(["verdict forwarded and verdict taken_syn"]).verdicts == {"forwarded", "taken_syn"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("host 1.2.3.4", '"host" is not part of a filter. There are: client NET'),
        ("client", '"client" lacks its value'),
        ("client 1.2.3.4/8", 'client "1.2.3.4/8" is not an address or network: 1.2.3.4/8 has host bits set'),
        ("port http", 'port "http" is not a port'),
        ("port 65536", 'port "65536" is not a port'),
        ("proto sctp", 'proto "sctp" is not one of tcp, udp, icmp, icmpv6'),
        ("verdict dropped", 'verdict "dropped" is neither a name nor the beginning of one'),
        ("port 80 and port 443", '"port" is given twice, and a packet has one'),
        ("client 198.51.100.7 vip 2001:db8::1", "are of two families"),
    ],
)
def test_a_wrong_filter_is_refused_with_what_is_allowed(words: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message.replace("(", r"\(")):
        parse_filter([words])


def captured(program: str, verdict: str, before: bytes, after: bytes) -> CapturedPacket:
    meant = next(one for one in verdicts_of(program) if one.name == verdict)
    return CapturedPacket(
        "eth0", program, 0, meant, CapturedFrame(before, len(before)), CapturedFrame(after, len(after))
    )


CLIENT_PACKET = IP(src="198.51.100.7", dst="203.0.113.10") / TCP(sport=4711, dport=80, flags="SA") / Raw(b"12345")
OUTER = {"src": "10.0.0.1", "dst": "10.0.0.11"}


def tunnelled(next_hop: int = 0, packet: Packet = CLIENT_PACKET, **outer: str) -> bytes:
    gue = GLBGUE(hops=["10.0.0.12", "10.0.0.13"], next_hop=next_hop)
    return bytes(Ether() / IP(**(OUTER | outer)) / UDP(sport=0x8001, dport=19523, chksum=0) / gue / packet)


def test_a_directors_decision_names_the_hops_in_their_order() -> None:
    event = event_of(captured("director", "encapsulated", bytes(Ether() / CLIENT_PACKET), tunnelled()), "lb1")

    assert str(event.packet) == "198.51.100.7:4711 > 203.0.113.10:80 SYN ACK, 5 bytes"
    assert event.decision == "encapsulated to 10.0.0.11; if it does not know the connection: 10.0.0.12, then 10.0.0.13"


def test_a_proxys_decision_names_the_reason() -> None:
    taken = event_of(captured("proxy", "taken_established", tunnelled(), bytes(Ether() / CLIENT_PACKET)), "web0")
    assert str(taken.packet) == "198.51.100.7:4711 > 203.0.113.10:80 SYN ACK, 5 bytes"
    assert taken.decision == "taken_established: a socket here knows the connection: decapsulated"

    left = tunnelled(1, src="10.0.0.11", dst="10.0.0.12")
    sent_on = event_of(captured("proxy", "forwarded", tunnelled(), left), "web0")
    assert sent_on.decision.startswith("forwarded to 10.0.0.12; if it does not know the connection: 10.0.0.13: unknown")


def at_director(packet: Packet = CLIENT_PACKET, *, padding: int = 0) -> Event:
    before = bytes(Ether() / packet) + bytes(padding)
    return event_of(captured("director", "encapsulated", before, tunnelled(packet=packet)), "lb1")


def at_proxy(packet: Packet = CLIENT_PACKET, *, hop: int = 0) -> Event:
    came = tunnelled(hop, packet=packet)
    return event_of(captured("proxy", "taken_established", came, bytes(Ether() / packet)), f"web{hop}")


def test_a_packet_has_the_same_digest_on_every_host() -> None:
    passes = (at_director(), at_director(padding=20), at_proxy(), at_proxy(hop=1))
    assert len({event.packet.digest for event in passes if event.packet}) == 1

    following = CLIENT_PACKET.copy()
    following[TCP].seq += 1
    assert at_director(following).packet != at_director().packet


def test_an_event_is_the_same_after_a_line_of_json() -> None:
    event = at_proxy(hop=1)
    assert of_line(to_line(event)) == event
    assert (event.step, at_proxy().step, at_director().step) == (2, 1, 0)


@pytest.mark.parametrize("line", ["{}", '{"host": "lb1"}', "[]", "{", '"bye"'])
def test_a_line_that_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(CaptureError, match="not an event of a trace"):
        of_line(line)


def in_order(*events: Event, every: float = 0.01) -> list[tuple[str, float]]:
    """Host and time of each, as they are put together when they arrive in this order."""
    merge = Merge()
    for number, event in enumerate(events):
        merge.add(event, number * every)
    return [(event.host, event.time) for event in merge.take(float("inf"))]


def packet(number: int) -> Packet:
    return IP(src="198.51.100.7", dst="203.0.113.10") / TCP(sport=4711, dport=80, seq=number)


def test_a_packets_events_are_in_the_order_of_its_path() -> None:
    first, second = packet(1), packet(2)
    merged = in_order(
        replace(at_proxy(first, hop=1), time=99.0),  # whose clock is a second behind
        replace(at_director(second), time=100.2),
        replace(at_proxy(first), time=100.5),  # whose clock is half a second ahead
        replace(at_director(first), time=100.0),
        replace(at_proxy(second), time=100.7),
    )
    assert merged == [("lb1", 100.0), ("web0", 100.5), ("web1", 99.0), ("lb1", 100.2), ("web0", 100.7)]


def test_packets_with_the_same_content_are_kept_apart() -> None:
    merged = in_order(*(replace(make(), time=time) for time in (1.0, 2.0) for make in (at_director, at_proxy)))
    assert merged == [("lb1", 1.0), ("web0", 1.0), ("lb1", 2.0), ("web0", 2.0)]


def test_events_without_an_ip_packet_are_not_merged() -> None:
    merged = in_order(*(replace(at_director(), packet=None, host=host, time=1.0) for host in ("lb1", "lb2", "lb3")))
    assert len(merged) == 3


def test_a_packet_is_held_for_the_events_of_other_hosts() -> None:
    first, second, third = (replace(at_director(packet(number)), time=float(number)) for number in (1, 2, 3))
    merge = Merge()
    merge.add(second, 0.0)
    merge.add(first, 0.2)  # from a host that is a little slower
    merge.add(third, 0.2)

    assert merge.take(HOLD_SECONDS - 0.1) == []
    assert merge.take(HOLD_SECONDS) == [first, second]
    assert merge.take(HOLD_SECONDS + 0.2) == [third]
    assert merge.take(float("inf")) == []


def test_a_host_whose_clock_is_far_behind_is_waited_for() -> None:
    here, far = replace(at_director(packet(1)), time=100.0), replace(at_director(packet(2)), time=10.0)
    merge = Merge()
    merge.add(here, 0.0)
    merge.add(far, HOLD_SECONDS - 0.1)

    assert merge.take(HOLD_SECONDS) == [here]
    assert merge.take(2 * HOLD_SECONDS) == [far]


@pytest.mark.parametrize("length", range(0, 80, 7))
def test_a_truncated_frame_has_an_event(length: int) -> None:
    event = event_of(captured("proxy", "drop_bad_tunnel", tunnelled()[:length], b""), "web0")
    assert event.decision.startswith("drop_bad_tunnel")


def test_a_full_disk_ends_the_file_with_an_error() -> None:
    frame = bytes(Ether() / CLIENT_PACKET)

    with (
        pytest.raises(CaptureError, match="/dev/full: No space left on device"),
        CaptureFile(Path("/dev/full")) as file,
    ):
        file.add(captured("director", "pass_no_bind", frame, frame))
