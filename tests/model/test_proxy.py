"""The proxy in the kernel equals its model. The sockets that it asks are real ones, of this process."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from glb.datapath.proxy import ProxyDatapath

from . import build
from .cases import Case
from .connections import HalfOpen, backward, closed, connections, half_open
from .generate import CLIENTS, DIRECTOR, GUE_PORT, PROXY, ROUTER_MAC, Aim, Target, proxy_batch
from .harness import Kernel, proxy_comparison
from .headers import TCP, UDP, Flow
from .places import LEAST_FRAME
from .proxy import Proxy
from .proxy_cases import CASES, SETUPS

WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)
OTHER_ADDRESS = b"\x0a\0\0\x6f"
WORD = 0xFFFFFFFF
MAC = b"\x02\0\0\0\0\x0b"
TARGETS = tuple(
    Target(address, protocol, port)
    for address in (b"\xcb\x00\x71\x0a", bytes.fromhex("20010db8000f") + bytes(9) + b"\x10")
    for protocol, port in ((TCP, 80), (TCP, 80), (UDP, 53))
)
AIM = Aim(MAC, 9000, TARGETS)


@pytest.fixture(scope="module")
def known() -> Iterator[tuple[Flow, ...]]:
    with connections() as flows:
        yield flows


@pytest.fixture(scope="module")
def kernel(proxy: ProxyDatapath) -> Kernel:
    return Kernel(proxy.program)


def error(flow: Flow, kind: int, code: int, quote: bytes) -> bytes:
    """An ICMP error about a connection, from a router on the way to its client."""
    router = CLIENTS[flow.version][0]
    put = build.ipv4 if flow.version == 4 else build.ipv6
    return put(router, flow.dst, build.icmp_protocol(router), build.icmp(router, flow.dst, kind, code, 0, quote))


def too_big(flow: Flow, quote: bytes) -> bytes:
    return error(flow, 3, 4, quote) if flow.version == 4 else error(flow, 2, 0, quote)


def with_half_open(unfinished: tuple[HalfOpen, ...]) -> Proxy:
    """On loopback, the clients' ends are here as well."""
    return Proxy(
        sockets=frozenset(backward(each.flow) for each in unfinished),
        half_open={each.flow: each.sent for each in unfinished},
    )


def with_sockets(known: tuple[Flow, ...], **settings: Any) -> Proxy:
    return Proxy(sockets=frozenset(known) | {backward(flow) for flow in known}, **settings)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_model_and_kernel_give_each_named_packet_the_verdict_that_a_person_expects(
    proxy: ProxyDatapath, kernel: Kernel, case: Case
) -> None:
    result = proxy_comparison(proxy, kernel, SETUPS[case.setup]).check(bytes(case.frame))
    assert result.verdict == case.verdict, case.proves


@pytest.mark.parametrize("setup", SETUPS)
def test_the_kernel_and_the_model_agree_on_every_truncation_of_the_named_packets(
    proxy: ProxyDatapath, kernel: Kernel, setup: str
) -> None:
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


@pytest.mark.parametrize("flags", [0x10, 0x18, 0x11, 0x04, 0x00])
def test_segments_of_known_connections_are_taken_in_both_directions(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Flow, ...], flags: int
) -> None:
    comparison = proxy_comparison(proxy, kernel, with_sockets(known))
    for flow in [*known, *map(backward, known)]:
        result = comparison.check(tunnelled(flow.version, segment(flow, flags)))
        assert result.verdict == "taken_established"


@pytest.mark.parametrize("flags", [0x10, 0x18, 0x11, 0x14])
def test_a_half_open_connection_takes_what_acknowledges_its_syn_ack_and_no_other(
    proxy: ProxyDatapath, kernel: Kernel, flags: int
) -> None:
    """Another proxy has answered the same SYN, too, when a segment acknowledges another number."""
    with half_open() as unfinished:
        comparison = proxy_comparison(proxy, kernel, with_half_open(unfinished))
        for each in unfinished:
            for off, verdict in ((1, "taken_established"), (0, "forwarded"), (2, "forwarded"), (1 << 31, "forwarded")):
                inner = segment(each.flow, flags, acknowledged=each.sent + off)
                assert comparison.check(tunnelled(each.flow.version, inner)).verdict == verdict
            without_ack = segment(each.flow, flags & ~0x10)
            assert comparison.check(tunnelled(each.flow.version, without_ack)).verdict == "taken_established"


def test_an_error_about_a_half_open_connection_is_taken_if_it_quotes_its_syn_ack(
    proxy: ProxyDatapath, kernel: Kernel
) -> None:
    with half_open() as unfinished:
        comparison = proxy_comparison(proxy, kernel, with_half_open(unfinished))
        for each in unfinished:
            for sequence, verdict in ((each.sent, "taken_established"), (each.sent + 1, "forwarded")):
                quote = segment(backward(each.flow), 0x12, sequence=sequence)
                assert comparison.check(tunnelled(each.flow.version, too_big(each.flow, quote))).verdict == verdict


def test_a_socket_in_time_wait_takes_what_it_has_heard_already_and_nothing_later(
    proxy: ProxyDatapath, kernel: Kernel
) -> None:
    """What is later belongs to a new connection with the same ports, which another proxy has taken."""
    ended = closed()
    comparison = proxy_comparison(proxy, kernel, Proxy(time_wait={each.flow: each.expected for each in ended}))
    for each in ended:
        for ahead, verdict in (
            (-1, "taken_established"),
            (0, "taken_established"),
            (1 - (1 << 31), "taken_established"),
            (1, "forwarded"),
            (1 << 30, "forwarded"),
        ):
            inner = segment(each.flow, 0x11, sequence=each.expected + ahead)
            assert comparison.check(tunnelled(each.flow.version, inner)).verdict == verdict
        gone = segment(backward(each.flow), 0x11)
        assert comparison.check(tunnelled(each.flow.version, gone)).verdict == "forwarded"
        about = too_big(each.flow, segment(backward(each.flow), 0x10))
        assert comparison.check(tunnelled(each.flow.version, about)).verdict == "taken_established"


def test_an_error_about_a_known_connection_is_taken_whatever_its_type(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Flow, ...]
) -> None:
    comparison = proxy_comparison(proxy, kernel, with_sockets(known))
    for flow in known:
        for kind in (3, 11, 12) if flow.version == 4 else (1, 2, 3, 4):
            inner = error(flow, kind, 0, segment(backward(flow), 0x10))
            assert comparison.check(tunnelled(flow.version, inner)).verdict == "taken_established"


@pytest.mark.slow
@settings(max_examples=300, deadline=None, phases=WITHOUT_SHRINKING)
@given(seed=SEEDS)
def test_the_kernel_does_to_75000_packets_from_valid_to_mangled_what_the_model_does(
    proxy: ProxyDatapath, kernel: Kernel, known: tuple[Flow, ...], seed: int
) -> None:
    rng = random.Random(seed)
    comparison = proxy_comparison(proxy, kernel, random_proxy(rng, known))
    for frame in proxy_batch(seed, AIM, known, 250):
        comparison.check(frame)


def random_proxy(rng: random.Random, known: tuple[Flow, ...]) -> Proxy:
    sources = ("10.0.0.1", "10.0.0.11", "10.0.0.0/28", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.7/32", "172.16.0.0/12")
    config: dict[str, Any] = rng.choice(({}, {"sources": []}, {"sources": rng.sample(sources, rng.randint(1, 4))}))
    addresses = rng.choice(
        ((), (), (PROXY,), (PROXY,), (OTHER_ADDRESS, PROXY), (OTHER_ADDRESS, PROXY), (OTHER_ADDRESS,))
    )
    hops = [b"\x0a\0\0" + bytes([last]) for last in range(256)]
    next_hops = {hop: b"\x02\x01" + hop for hop in hops if rng.random() < 0.5}
    return with_sockets(known, config=config, addresses=addresses, next_hops=next_hops)
