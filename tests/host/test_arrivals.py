"""In what order an honest guest's events come, and what no such guest sends."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux.arrivals import Arrivals, last_certain
from guestmux.event import Event
from guestmux_protocol.commands import Position


def event(seq: int | None, name: str = "X", **more: Any) -> Event:
    return Event(name, {"epoch": "a", **({} if seq is None else {"seq": seq}), **more})


def lost(seq: int | None, first: Any, reason: str) -> Event:
    return event(seq, "EVENTS_LOST", **{"from": first, "to": seq, "reason": reason})


def wrong(arrivals: Arrivals, *events: Event | int) -> int | None:
    """The index of the first that cannot be."""
    return arrivals.take([(event(each) if isinstance(each, int) else each, 10) for each in events])


@pytest.fixture
def arrivals() -> Arrivals:
    arrivals = Arrivals()
    arrivals.answered(10, None)
    return arrivals


@pytest.mark.parametrize(("seq", "possible"), [(9, False), (10, False), (11, True), (12, True)])
def test_numbers_go_up_from_the_answer(arrivals: Arrivals, seq: int, possible: bool) -> None:
    assert wrong(arrivals, seq) == (None if possible else 0)


def test_numbers_go_up(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, 13, 20) is None
    assert wrong(arrivals, 21, 20, 22) == 1


def test_from_since_on() -> None:
    arrivals = Arrivals()
    arrivals.answered(10, 5)
    assert wrong(arrivals, 6, 7, 11) is None


def test_of_a_since_that_means_nothing_to_the_guest() -> None:
    arrivals = Arrivals()
    arrivals.answered(10, 500)
    assert wrong(arrivals, 11) is None


def test_what_has_no_number(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, event(None), 12) is None


def test_late_events_stand_where_they_like(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 12, event(11, late=True), 13) is None
    assert wrong(arrivals, event(12, late=False)) == 0


def test_beacons_repeat_a_number(arrivals: Arrivals) -> None:
    assert wrong(arrivals, event(10, "BEACON"), 11, event(11, "BEACON"), event(11, "BEACON"), 12) is None
    assert wrong(arrivals, event(11, "BEACON")) == 0


def test_losses(arrivals: Arrivals) -> None:
    assert wrong(arrivals, lost(10, 11, "restart"), 11, lost(20, 12, "slow-reader"), 21) is None
    assert wrong(arrivals, lost(20, 12, "slow-reader")) == 0


@pytest.mark.parametrize("reason", ["rolled-back", "new-epoch"])
def test_numbers_begin_anew(arrivals: Arrivals, reason: str) -> None:
    assert wrong(arrivals, 11, 12, lost(3, 0, reason), 4, 5) is None
    assert wrong(arrivals, 5) == 0


def test_asked_anew_it_begins_again(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, 12, 13) is None
    arrivals.answered(13, 11)
    assert wrong(arrivals, 12, 13, 14) is None
    assert wrong(arrivals, 12) == 0, "once"


def test_the_answer_overtakes_what_was_sent_before_it(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11) is None
    arrivals.answered(14, 11)
    arrivals.answered(15, 11)
    assert wrong(arrivals, *(12, 13, 14), *(12, 13, 14, 15), *(12, 13, 14, 15, 16)) is None
    assert wrong(arrivals, 12) == 0


def test_asked_anew_it_does_not_begin_before_since(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, 12, 13) is None
    arrivals.answered(13, 11)
    assert wrong(arrivals, 11) == 0


def test_asked_anew_a_beacon_is_where_it_begins(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, 12, 13) is None
    arrivals.answered(13, 11)
    assert wrong(arrivals, event(11, "BEACON"), 12) is None


def test_what_came_after_the_answer_is_not_repeated(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11) is None
    arrivals.answered(14, 11)
    assert wrong(arrivals, 15) is None
    assert wrong(arrivals, 12) == 0, "the guest was asked for it, and has told later ones already"


def test_asked_anew_with_nothing_to_repeat(arrivals: Arrivals) -> None:
    assert wrong(arrivals, 11, 12) is None
    arrivals.answered(12, 12)
    assert wrong(arrivals, 12) == 0


@pytest.mark.parametrize(
    ("found", "seq"),
    [
        (event(7), 6),
        (event(0), 0),
        (event(7, "BEACON"), 7),
        (lost(7, 4, "slow-reader"), 3),
        (lost(7, 9, "restart"), 7),
        (lost(7, "x", "restart"), 7),
        (lost(None, 0, "restart"), 0),
    ],
)
def test_from_where_on_the_guest_is_asked(found: Event, seq: int) -> None:
    assert last_certain(found) == Position(epoch="a", seq=seq)
