# SPDX-License-Identifier: MIT
"""The proxy in the kernel equals its model. The sockets that it looks up are real ones, of this process."""

import random
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from glb.datapath.proxy import ProxyDatapath

from . import build
from .cases import Case
from .connections import WORD, HalfOpen, Known, backward, connections, half_open
from .generate import CLIENTS, DIRECTOR, GUE_PORT, PROXY, ROUTER_MAC, Aim, Target, proxy_batch
from .harness import Kernel, proxy_comparison
from .headers import TCP, UDP, Flow
from .places import LEAST_FRAME
from .proxy import MAC, Proxy
from .proxy_cases import CASES, SETUPS

pytestmark = pytest.mark.usefixtures("own_sockets")

WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)
OTHER_ADDRESS = b"\x0a\0\0\x6f"
TARGETS = tuple(
    Target(address, protocol, port)
    for address in (b"\xcb\x00\x71\x0a", bytes.fromhex("20010db8000f") + bytes(9) + b"\x10")
    for protocol, port in ((TCP, 80), (TCP, 80), (UDP, 53))
)
AIM = Aim(MAC, 9000, TARGETS)


@pytest.fixture(scope="module")
def known(own_sockets: None) -> Iterator[tuple[Known, ...]]:
    with connections() as found:
        yield found


@pytest.fixture(scope="module")
def kernel(proxy: ProxyDatapath, own_sockets: None) -> Kernel:
    return Kernel(proxy.program)


def error(flow: Flow, kind: int, code: int, quote: bytes) -> bytes:
    """An ICMP error about a connection, from a router on the path to its client."""
    router = CLIENTS[flow.version][0]
    put = build.ipv4 if flow.version == 4 else build.ipv6
    return put(router, flow.dst, build.icmp_protocol(router), build.icmp(router, flow.dst, kind, code, 0, quote))


def too_big(flow: Flow, quote: bytes) -> bytes:
    return error(flow, 3, 4, quote) if flow.version == 4 else error(flow, 2, 0, quote)


def with_half_open(unfinished: tuple[HalfOpen, ...]) -> Proxy:
    return Proxy(half_open={each.flow: each for each in unfinished})


def with_sockets(known: tuple[Known, ...], **settings: Any) -> Proxy:
    return Proxy(sockets={each.flow: each for each in known}, **settings)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_kernel_and_model_give_each_named_packet_its_verdict(proxy: ProxyDatapath, kernel: Kernel, case: Case) -> None:
    result = proxy_comparison(proxy, kernel, SETUPS[case.setup]).check(bytes(case.frame))
    assert result.verdict == case.verdict, case.proves


@pytest.mark.parametrize("setup", SETUPS)
def test_kernel_and_model_agree_on_every_truncation(proxy: ProxyDatapath, kernel: Kernel, setup: str) -> None:
    comparison = proxy_comparison(proxy, kernel, SETUPS[setup])
    for case in (case for case in CASES if case.setup == setup):
        whole = bytes(case.frame)
        for length in range(LEAST_FRAME, len(whole)):
            comparison.check(whole[:length])


def tunnelled(version: int, inner: bytes) -> bytes:
    datagram = build.udp(DIRECTOR, PROXY, 0x8123, GUE_PORT, build.gue(version, (b"\x0a\0\0\x0c",), 0, inner), False)
    return build.ethernet(MAC, ROUTER_MAC, 0x0800) + build.ipv4(DIRECTOR, PROXY, UDP, datagram)


def segment(flow: Flow, flags: int, sequence: int = 1, acknowledged: int = 1) -> bytes:
    tcp = build.tcp(
        flow.src, flow.dst, flow.sport, flow.dport, flags, sequence=sequence & WORD, acknowledged=acknowledged & WORD
    )
    return (build.ipv4 if flow.version == 4 else build.ipv6)(flow.src, flow.dst, TCP, tcp)


@pytest.mark.parametrize("flags", [0x10, 0x18, 0x11, 0x04, 0x00, 0x12])
def test_segments_near_a_known_connections_window_are_taken(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Known, ...], flags: int
) -> None:
    """Others are of a connection with the same ports that another proxy holds."""
    comparison = proxy_comparison(proxy, kernel, with_sockets(known))
    for each in known:
        for off, verdict in (
            (0, "taken_established"),
            (each.window, "taken_established"),
            (-each.window, "taken_established"),
            (each.window + 1, "forwarded"),
            (-each.window - 1, "forwarded"),
            (1 << 31, "forwarded"),
        ):
            forget(proxy, known)
            inner = segment(each.flow, flags, sequence=each.expected + off)
            assert comparison.check(tunnelled(each.flow.version, inner)).verdict == verdict


def forget(proxy: ProxyDatapath, known: tuple[Known, ...]) -> None:
    """Have the kernel's sockets decide anew: an established connection is remembered for a moment (bpf/recent.h)."""
    memory = proxy.program.maps["recent"]
    for each in known:
        memory[place_in_memory(each.flow, memory.info.entries)] = bytes(memory.value.itemsize)


def place_in_memory(flow: Flow, places: int) -> int:
    words = struct.unpack("=QQ", flow.src.ljust(16, b"\0"))
    sport, dport = (int.from_bytes(port.to_bytes(2, "big"), sys.byteorder) for port in (flow.sport, flow.dport))
    ports = flow.version << 32 | dport << 16 | sport
    word = (words[0] ^ words[1] ^ ports << 24) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
    return word * places >> 64


@pytest.mark.parametrize("flags", [0x10, 0x18, 0x11, 0x14])
def test_a_half_open_connection_takes_only_its_own_ack(proxy: ProxyDatapath, kernel: Kernel, flags: int) -> None:
    """Another proxy has answered the same SYN, too, when a segment acknowledges another number."""
    with half_open() as unfinished:
        comparison = proxy_comparison(proxy, kernel, with_half_open(unfinished))
        for each in unfinished:
            own = "taken_handshake" if flags & 0x07 == 0 else "taken_established"
            for off, verdict in ((1, own), (0, "forwarded"), (2, "forwarded"), (1 << 31, "forwarded")):
                inner = segment(each.flow, flags, sequence=each.expected, acknowledged=each.sent + off)
                assert comparison.check(tunnelled(each.flow.version, inner)).verdict == verdict
            for off, verdict in ((0, "taken_established"), (1 << 30, "forwarded"), (-(1 << 30), "forwarded")):
                without_ack = segment(each.flow, flags & ~0x10, sequence=each.expected + off)
                assert comparison.check(tunnelled(each.flow.version, without_ack)).verdict == verdict


def test_an_error_that_quotes_the_syn_ack_is_taken(proxy: ProxyDatapath, kernel: Kernel) -> None:
    with half_open() as unfinished:
        comparison = proxy_comparison(proxy, kernel, with_half_open(unfinished))
        for each in unfinished:
            for sequence, verdict in ((each.sent, "taken_established"), (each.sent + 1, "forwarded")):
                quote = segment(backward(each.flow), 0x12, sequence=sequence)
                assert comparison.check(tunnelled(each.flow.version, too_big(each.flow, quote))).verdict == verdict


def test_errors_of_any_type_about_a_connection_are_taken(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Known, ...]
) -> None:
    comparison = proxy_comparison(proxy, kernel, with_sockets(known))
    for each in known:
        for kind in (3, 11, 12) if each.flow.version == 4 else (1, 2, 3, 4):
            for off, verdict in ((0, "taken_established"), (1, "forwarded"), (-1, "forwarded")):
                quote = segment(backward(each.flow), 0x10, sequence=each.sent + off)
                inner = error(each.flow, kind, 0, quote)
                assert comparison.check(tunnelled(each.flow.version, inner)).verdict == verdict


@pytest.mark.slow
@settings(max_examples=300, deadline=None, phases=WITHOUT_SHRINKING)
@given(seed=SEEDS)
def test_kernel_and_model_agree_on_75000_random_packets(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Known, ...], seed: int
) -> None:
    rng = random.Random(seed)
    comparison = proxy_comparison(proxy, kernel, random_proxy(rng, known))
    for frame in proxy_batch(seed, AIM, known, 250):
        forget(proxy, known)
        comparison.check(frame)


def random_proxy(rng: random.Random, known: tuple[Known, ...]) -> Proxy:
    sources = ("10.0.0.1", "10.0.0.11", "10.0.0.0/28", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.7/32", "172.16.0.0/12")
    config: dict[str, Any] = rng.choice(({}, {"sources": []}, {"sources": rng.sample(sources, rng.randint(1, 4))}))
    addresses = rng.choice(
        ((), (), (PROXY,), (PROXY,), (OTHER_ADDRESS, PROXY), (OTHER_ADDRESS, PROXY), (OTHER_ADDRESS,))
    )
    hops = [b"\x0a\0\0" + bytes([last]) for last in range(256)]
    next_hops = {hop: b"\x02\x01" + hop for hop in hops if rng.random() < 0.5}
    places: dict[str, Any] = rng.choice(
        ({}, {}, {"vips": ("203.0.113.10/32", "2001:db8:f::10/128"), "own": ("10.0.0.11/32", "198.18.3.21/32")}, MANY)
    )
    peers: dict[str, Any] = rng.choice(({}, {"hops": ()}, {"hops": ("10.0.0.0/25", "192.0.2.0/24")}))
    return with_sockets(known, config=config, addresses=addresses, next_hops=next_hops, **places, **peers)


MANY: dict[str, Any] = {
    "vips": (
        "203.0.113.0/28",
        "203.0.113.128/25",
        "2001:db8:f::/64",
        "198.51.100.0/24",
        "198.51.101.0/24",
        "198.51.102.0/24",
        "10.0.0.0/16",
    ),
    "own": ("10.0.0.11/32", "203.0.113.1/32", "2001:db8:f::1/128"),
}
"""More than are looked at first, and own addresses in the midst of them."""
