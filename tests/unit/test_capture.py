"""Filters in words, and what a visit is told as."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from glb.capture.errors import CaptureError
from glb.capture.pcapng import CaptureFile
from glb.capture.records import Frame, Visit
from glb.capture.story import tell
from glb.capture.wish import Wish, parse
from glb.datapath.verdicts import verdicts_of
from glb.scapy import GLBGUE


def test_a_filter_is_read_word_by_word() -> None:
    assert parse([]) == Wish()
    assert parse(["client", "198.51.100.0/24", "and", "port", "443"]) == Wish(
        client=ip_network("198.51.100.0/24"), port=443
    )
    assert parse(["vip 2001:db8::1 client-port 7 proto udp"]) == Wish(
        vip=ip_network("2001:db8::1"), client_port=7, protocol=17
    )
    assert parse(["verdict forwarded"]).verdicts == {"forwarded"}
    assert {"drop_bad_ip", "drop_bad_hops"} < parse(["verdict drop"]).verdicts
    assert parse(["verdict forwarded and verdict taken_syn"]).verdicts == {"forwarded", "taken_syn"}


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
        ("port 80 and port 443", '"port" is there twice, and a packet has one'),
        ("client 198.51.100.7 vip 2001:db8::1", "are of two families"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_with_what_is_allowed(words: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message.replace("(", r"\(")):
        parse([words])


def visit(program: str, verdict: str, before: bytes, after: bytes) -> Visit:
    meant = next(one for one in verdicts_of(program) if one.name == verdict)
    return Visit("eth0", program, 0, meant, Frame(before, len(before)), Frame(after, len(after)))


CLIENT_PACKET = IP(src="198.51.100.7", dst="203.0.113.10") / TCP(sport=4711, dport=80, flags="SA") / Raw(b"12345")
OUTER = {"src": "10.0.0.1", "dst": "10.0.0.11"}


def tunnelled(next_hop: int = 0, **outer: str) -> bytes:
    gue = GLBGUE(hops=["10.0.0.12", "10.0.0.13"], next_hop=next_hop)
    return bytes(Ether() / IP(**(OUTER | outer)) / UDP(sport=0x8001, dport=19523, chksum=0) / gue / CLIENT_PACKET)


def test_a_directors_decision_names_the_hops_in_their_order() -> None:
    story = tell(visit("director", "encapsulated", bytes(Ether() / CLIENT_PACKET), tunnelled()))

    assert str(story.inner) == "198.51.100.7:4711 > 203.0.113.10:80 SYN ACK, 5 bytes"
    assert story.decision == "encapsulated to 10.0.0.11; if it does not know the connection: 10.0.0.12, then 10.0.0.13"


def test_a_proxys_decision_names_the_reason() -> None:
    taken = tell(visit("proxy", "taken_established", tunnelled(), bytes(Ether() / CLIENT_PACKET)))
    assert str(taken.inner) == "198.51.100.7:4711 > 203.0.113.10:80 SYN ACK, 5 bytes"
    assert taken.decision == "taken_established: a socket here knows the connection: decapsulated"

    sent_on = tell(visit("proxy", "forwarded", tunnelled(), tunnelled(1, src="10.0.0.11", dst="10.0.0.12")))
    assert sent_on.decision.startswith("forwarded to 10.0.0.12; if it does not know the connection: 10.0.0.13: unknown")


@pytest.mark.parametrize("length", range(0, 80, 7))
def test_a_cut_frame_is_told_as_far_as_it_goes(length: int) -> None:
    story = tell(visit("proxy", "drop_bad_tunnel", tunnelled()[:length], b""))
    assert story.decision.startswith("drop_bad_tunnel")


def test_a_disk_that_is_full_ends_the_file_with_a_message() -> None:
    frame = bytes(Ether() / CLIENT_PACKET)

    with (
        pytest.raises(CaptureError, match="/dev/full: No space left on device"),
        CaptureFile(Path("/dev/full")) as file,
    ):
        file.add(visit("director", "pass_no_bind", frame, frame))
