# SPDX-License-Identifier: MIT
"""The random packets are worth their time: all rules are exercised, and many packets are forwarded."""

import random
from collections import Counter

from .configurations import random_director
from .connections import Known
from .generate import aim_at, batch, proxy_batch
from .headers import TCP, Flow
from .proxy import Proxy
from .test_proxy import AIM, with_sockets

DIRECTOR_VERDICTS = {
    "drop_martian",
    "drop_ttl_zero",
    "answered_echo",
    "answered_too_big",
    "drop_bad_icmp_quote",
    "drop_bad_ip",
    "drop_bad_l4",
    "drop_bad_length",
    "drop_no_next_hop",
    "drop_short_frame",
    "drop_too_big",
    "encapsulated",
    "pass_fragment",
    "pass_no_bind",
    "pass_not_ip",
    "pass_path_mtu",
    "pass_tunnel_error",
    "pass_other_host",
}
PROXY_VERDICTS = {
    "drop_ttl_zero",
    "drop_bad_hops",
    "drop_bad_inner",
    "drop_bad_tunnel",
    "drop_congestion",
    "drop_foreign_hop",
    "drop_foreign_source",
    "drop_martian",
    "drop_not_served",
    "drop_not_vip",
    "forwarded",
    "pass_not_tunnel",
    "pass_other_host",
    "taken_connectionless",
    "taken_established",
    "taken_last_resort",
    "taken_self",
    "taken_syn",
}
BATCHES, SIZE = 60, 100


def test_a_seed_gives_the_same_packets_again() -> None:
    assert proxy_batch(7, AIM, [KNOWN], 50) == proxy_batch(7, AIM, [KNOWN], 50)


def test_packets_for_a_director_meet_every_verdict() -> None:
    met: Counter[str] = Counter()
    for seed in range(BATCHES):
        rng = random.Random(seed)
        director = random_director(rng)
        aim = aim_at(director.tables, director.mac, director.way_mtu, rng)
        met.update(director.run(frame).verdict for frame in batch(seed, aim, SIZE))
    assert set(met) == DIRECTOR_VERDICTS
    assert met["encapsulated"] > BATCHES * SIZE / 4


KNOWN = Known(Flow(TCP, b"\xc6\x12\0\2", b"\xcb\0\x71\x0a", 4711, 80))


def test_packets_for_a_proxy_meet_every_verdict() -> None:
    settings = (Proxy({"sources": ["10.0.0.0/28"]}), with_sockets((KNOWN,), own=("10.0.0.11/32", "198.18.3.21/32")))
    met = Counter(
        settings[seed % 2].run(frame).verdict
        for seed in range(BATCHES)
        for frame in proxy_batch(seed, AIM, [KNOWN], SIZE)
    )
    assert set(met) == PROXY_VERDICTS
    assert sum(count for verdict, count in met.items() if verdict.startswith("taken_")) > BATCHES * SIZE / 5
