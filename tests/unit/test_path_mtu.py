# SPDX-License-Identifier: MIT
"""What is learned from a router's "fragmentation needed", and what is not believed."""

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from glb.network.path_mtu import PathMtus, TooBig, read_too_big

DIRECTOR, PROXY, ROUTER = "10.0.0.1", "10.0.0.11", "10.0.0.254"
SOURCE, BACKEND = IPv4Address(DIRECTOR), IPv4Address(PROXY)
BACKENDS = {BACKEND, IPv4Address("10.0.0.12")}
FLOOR, LIFETIME = 552, 600
MESSAGE = TooBig(SOURCE, BACKEND, 0x8123, 19523, 1544, 1400)


def quoted(transport: Packet | None = None, **fields: object) -> Packet:
    outer = {"src": DIRECTOR, "dst": PROXY, "flags": "DF"} | fields
    return IP(**outer) / (transport or UDP(sport=0x8123, dport=19523)) / Raw(bytes(1516))


def message(quote: Packet | None = None, kind: int = 3, code: int = 4, mtu: int = 1400, cut: int = 28) -> bytes:
    icmp = ICMP(type=kind, code=code, nexthopmtu=mtu) / Raw(bytes(quote or quoted())[:cut])
    return bytes(IP(src=ROUTER, dst=DIRECTOR) / icmp)


def learned(*messages: TooBig, now: float = 0) -> dict[IPv4Address, int]:
    mtus = PathMtus(FLOOR, LIFETIME)
    for each in messages:
        mtus.learn(each, SOURCE, BACKENDS, 0)
    return mtus.current(now)


def changed(**fields: object) -> TooBig:
    values = {name: getattr(MESSAGE, name) for name in TooBig.__slots__} | fields
    return TooBig(**values)


def test_a_routers_message_is_read() -> None:
    assert read_too_big(message()) == MESSAGE


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(message(code=3), id="port unreachable"),
        pytest.param(message(kind=11), id="time exceeded"),
        pytest.param(message(quoted(TCP(sport=0x8123, dport=19523))), id="about TCP"),
        pytest.param(message(quoted(flags=0)), id="about a packet that may be fragmented"),
        pytest.param(message(quoted(frag=8)), id="about a fragment"),
        pytest.param(message(cut=27 - 4), id="without the ports"),
        pytest.param(message()[:-1] + b"\x01", id="damaged"),
        *(pytest.param(message()[:length], id=f"cut at {length}") for length in (0, 1, 20, 28, 40)),
    ],
)
def test_other_messages_are_ignored(packet: bytes) -> None:
    assert read_too_big(packet) is None


def test_the_mtu_of_the_path_is_learned_and_expires() -> None:
    assert learned(MESSAGE) == {BACKEND: 1400}
    assert learned(MESSAGE, now=LIFETIME + 1) == {}


def test_a_smaller_mtu_counts_and_a_larger_one_does_not() -> None:
    assert learned(MESSAGE, changed(mtu=1300)) == {BACKEND: 1300}
    assert learned(changed(mtu=1300), MESSAGE) == {BACKEND: 1300}


def test_a_repeated_message_is_no_news_but_keeps_it() -> None:
    mtus = PathMtus(FLOOR, LIFETIME)

    assert mtus.learn(MESSAGE, SOURCE, BACKENDS, 0)
    assert not mtus.learn(MESSAGE, SOURCE, BACKENDS, LIFETIME / 2)
    assert mtus.current(LIFETIME + 1) == {BACKEND: 1400}


@pytest.mark.parametrize("mtu", [68, 551, 1])
def test_no_message_pushes_an_mtu_below_the_floor(mtu: int) -> None:
    assert learned(changed(mtu=mtu)) == {BACKEND: FLOOR}


@pytest.mark.parametrize(("length", "mtu"), [(1544, 1492), (9000, 8166), (1400, 1006), (1000, FLOOR)])
def test_without_an_mtu_the_next_lower_plateau_is_used(length: int, mtu: int) -> None:
    assert learned(changed(mtu=0, length=length)) == {BACKEND: mtu}


@pytest.mark.parametrize(
    "fields",
    [
        {"source": IPv4Address("10.0.0.2")},
        {"destination": IPv4Address("192.0.2.1")},
        {"port": 53},
        {"source_port": 4711},
        {"mtu": 1544},
        {"mtu": 9000},
        {"length": 500},
    ],
    ids=str,
)
def test_a_message_about_packets_of_others_is_ignored(fields: dict[str, object]) -> None:
    assert learned(changed(**fields)) == {}
