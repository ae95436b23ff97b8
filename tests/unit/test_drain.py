# SPDX-License-Identifier: MIT
"""The binds that a drain queries, and its progress."""

import json
from dataclasses import replace

import pytest

from glb.config.bind_text import parse_bind
from glb.config.model import Table
from glb.config.parse import parse_tables
from glb.ctl.connections import describe_progress
from glb.drain.agent import AgentCount, binds_of_tables
from glb.drain.wait import HOLDING, OVER, DrainProgress
from tests.unit import sources


def table(name: str, *binds: str) -> Table:
    [some, *_] = parse_tables(json.dumps(sources.tables()), "ft.json").tables
    return replace(some, name=name, binds=tuple(parse_bind(bind) for bind in binds))


def answer(established: int = 0, *, packets: int = 0, syns: int = 0, **sockets: int) -> AgentCount:
    return AgentCount({"established": established, **sockets}, {"taken_established": packets, "taken_syn": syns})


def seen(*answers: AgentCount, waited_for: frozenset[str] = HOLDING) -> DrainProgress:
    """After one answer a second."""
    progress = DrainProgress(waited_for)
    for second, each in enumerate(answers):
        progress = progress.after(each, float(second))
    return progress


def test_the_query_holds_a_tables_tcp_binds_and_overlapping_ones() -> None:
    web = table("web", "203.0.113.0/24:80/tcp", "203.0.113.0/24:80/udp")
    shop = table("shop", "203.0.113.10:80/tcp", "203.0.113.10:443/tcp")
    mail = table("mail", "[2001:db8::]:80/tcp", "198.51.100.1:80/tcp", "203.0.113.10:70-90/tcp")

    query = binds_of_tables([shop, web, mail], {"web"})

    assert {str(bind) for bind in query.own} == {"203.0.113.0/24:80/tcp"}
    assert [str(bind) for bind in query.all] == [
        "203.0.113.10:80/tcp",
        "203.0.113.0/24:80/tcp",
        "203.0.113.10:70-90/tcp",
    ]


def test_a_table_without_tcp_gives_an_empty_query() -> None:
    assert binds_of_tables([table("dns", "203.0.113.10:53/udp")], {"dns"}).all == ()


def test_before_the_first_answer_nothing_is_known() -> None:
    progress = DrainProgress()

    assert (progress.left, progress.drained) == (None, False)


def test_a_drain_ends_after_two_counts_of_zero() -> None:
    assert not seen(answer(3), answer(0)).drained
    assert not seen(answer(0), answer(1), answer(0)).drained
    assert seen(answer(3), answer(0), answer(0)).drained


@pytest.mark.parametrize("state", sorted(HOLDING))
def test_a_connection_in_any_state_before_its_end_counts(state: str) -> None:
    progress = seen(AgentCount({state: 1}, {}), AgentCount({state: 1}, {}))

    assert (progress.left, progress.drained) == (1, False)


def test_time_wait_counts_only_on_request() -> None:
    looks = (answer(0, time_wait=7), answer(0, time_wait=7))

    assert (seen(*looks).left, seen(*looks).drained) == (0, True)
    assert seen(*looks, waited_for=HOLDING | {OVER}).left == 7


def test_a_failed_count_keeps_the_last_answer() -> None:
    failed = seen(answer(3), answer(0)).after_failure("refused")

    assert (failed.left, failed.most, failed.error, failed.drained) == (0, 3, "refused", False)
    assert not failed.after(answer(0), 5.0).drained
    assert failed.after(answer(0), 5.0).after(answer(0), 6.0).drained


def test_rates_are_of_the_time_between_two_counts() -> None:
    progress = seen(answer(2, packets=100, syns=5)).after(answer(2, packets=150, syns=6), 2.0)

    assert (progress.established_rate, progress.new_rate) == (25.0, 0.5)


def test_no_rate_over_a_gap_or_a_reset_of_counters() -> None:
    gap = seen(answer(2, packets=100)).after_failure("refused").after(answer(2, packets=150), 9.0)
    restart = seen(answer(2, packets=100), answer(2, packets=3))

    assert (gap.established_rate, restart.established_rate) == (None, None)


def test_progress_reads_as_one_line() -> None:
    progress = seen(answer(9, packets=0, fin_wait2=1), answer(4, packets=120, fin_wait2=1, syn_recv=1, time_wait=3))

    assert describe_progress(DrainProgress()) == "no answer yet"
    assert describe_progress(DrainProgress().after_failure("refused")) == "refused"
    assert describe_progress(progress) == (
        "6 of 10 connections left (4 established, 1 opening, 1 closing, 3 in TIME_WAIT), "
        "packets/s: 120 established, 0 new"
    )
    assert describe_progress(progress.after_failure("refused")) == "6 connections at the last answer; refused"
