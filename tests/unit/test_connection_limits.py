# SPDX-License-Identifier: MIT
"""The connection that is closed when a listener's limits are reached."""

import pytest

from glb.control.connection_limits import (
    ConnectionLimits,
    NoRoomError,
    Phase,
    ServedConnection,
    connection_to_close,
    source_of,
)

LIMITS = ConnectionLimits(connections=6, per_source=3, request_seconds=10, answer_seconds=30)


def connections(*held: tuple[str, Phase]) -> list[ServedConnection]:
    return [ServedConnection(source, since, phase) for since, (source, phase) in enumerate(held)]


def test_below_the_limits_nothing_is_closed() -> None:
    assert connection_to_close(connections(("a", Phase.REQUEST), ("a", Phase.WORK)), "a", LIMITS) is None


def test_a_source_at_its_limit_loses_its_oldest_connection() -> None:
    held = connections(("b", Phase.REQUEST), ("a", Phase.REQUEST), ("a", Phase.REQUEST), ("a", Phase.REQUEST))

    assert connection_to_close(held, "a", LIMITS) is held[1]
    assert connection_to_close(held, "b", LIMITS) is None


def test_at_the_limit_the_source_with_the_most_loses_one() -> None:
    held = connections(*[("b", Phase.REQUEST)], *[("a", Phase.REQUEST)] * 3, *[("c", Phase.REQUEST)] * 2)

    assert connection_to_close(held, "new", LIMITS) is held[1]


def test_connections_without_request_are_closed_first() -> None:
    held = connections(("a", Phase.WORK), ("a", Phase.ANSWER), ("a", Phase.REQUEST))

    assert connection_to_close(held, "a", LIMITS) is held[2]
    assert connection_to_close(held[:2] + connections(("a", Phase.WORK)), "a", LIMITS) is held[1]


def test_work_that_changes_something_is_not_cancelled() -> None:
    held = connections(*[("a", Phase.WORK)] * 3)

    assert connection_to_close(held, "a", LIMITS) is held[0]
    with pytest.raises(NoRoomError):
        connection_to_close(held, "a", ConnectionLimits(per_source=3, interrupts_work=False))


@pytest.mark.parametrize(
    ("phase", "seconds", "overdue"),
    [
        (Phase.REQUEST, 9, False),
        (Phase.REQUEST, 11, True),
        (Phase.ANSWER, 29, False),
        (Phase.ANSWER, 31, True),
        (Phase.WORK, 3600, False),
    ],
)
def test_requests_and_answers_have_their_time(phase: Phase, seconds: float, overdue: bool) -> None:
    assert ServedConnection("a", since=0, phase=phase).is_overdue(LIMITS, now=seconds) is overdue


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_source_is_its_network(address: str, source: str) -> None:
    assert source_of(address) == source
