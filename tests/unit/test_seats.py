# SPDX-License-Identifier: MIT
"""Which connection goes when a listener's limits are reached."""

import pytest

from glb.control.seats import Limits, NoRoomError, Phase, Seat, source_of, to_close

LIMITS = Limits(connections=6, per_source=3, request_seconds=10, answer_seconds=30)


def seats(*held: tuple[str, Phase]) -> list[Seat]:
    return [Seat(source, since, phase) for since, (source, phase) in enumerate(held)]


def test_below_the_limits_nobody_goes() -> None:
    assert to_close(seats(("a", Phase.REQUEST), ("a", Phase.WORK)), "a", LIMITS) is None


def test_a_source_that_has_all_it_may_have_loses_its_own_oldest() -> None:
    held = seats(("b", Phase.REQUEST), ("a", Phase.REQUEST), ("a", Phase.REQUEST), ("a", Phase.REQUEST))

    assert to_close(held, "a", LIMITS) is held[1]
    assert to_close(held, "b", LIMITS) is None


def test_where_all_seats_are_taken_the_source_with_the_most_loses_one() -> None:
    held = seats(*[("b", Phase.REQUEST)], *[("a", Phase.REQUEST)] * 3, *[("c", Phase.REQUEST)] * 2)

    assert to_close(held, "new", LIMITS) is held[1]


def test_who_has_sent_no_request_goes_before_who_is_answered() -> None:
    held = seats(("a", Phase.WORK), ("a", Phase.ANSWER), ("a", Phase.REQUEST))

    assert to_close(held, "a", LIMITS) is held[2]
    assert to_close(held[:2] + seats(("a", Phase.WORK)), "a", LIMITS) is held[1]


def test_work_that_changes_something_is_not_given_up() -> None:
    held = seats(*[("a", Phase.WORK)] * 3)

    assert to_close(held, "a", LIMITS) is held[0]
    with pytest.raises(NoRoomError):
        to_close(held, "a", Limits(per_source=3, interrupts_work=False))


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
    assert Seat("a", since=0, phase=phase).is_overdue(LIMITS, now=seconds) is overdue


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
