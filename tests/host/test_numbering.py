"""How far a stream is in the guest's numbers, and what a loss means to it."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux.about_stream import Loss
from guestmux.event import Event, Gap
from guestmux.numbering import MAX_RUNS, Numbering
from guestmux.selection import Selection
from guestmux_protocol.commands import Position


def numbering(*patterns: str, at: Position) -> Numbering:
    numbering = Numbering(Selection(patterns or ("*",)))
    numbering.go_to(at)
    numbering.present = at.epoch
    return numbering


def place(epoch: str, seq: int) -> Position:
    return Position(epoch=epoch, seq=seq)


def event(epoch: str, seq: int | None) -> Event:
    return Event("X", {"epoch": epoch} if seq is None else {"epoch": epoch, "seq": seq})


def loss(first: Any, last: Any, reason: str, epoch: str, seq: int | None, **more: Any) -> Loss:
    stands = {"epoch": epoch} if seq is None else {"epoch": epoch, "seq": seq}
    return Loss(Event("EVENTS_LOST", {**stands, "from": first, "to": last, "reason": reason, **more}))


def test_numbers_go_on_from_run_to_run() -> None:
    here = numbering(at=place("a", 4))
    assert [here.advance(event("a", 4)), here.advance(event("a", 5)), here.advance(event("b", 6))] == [
        False,
        True,
        True,
    ]
    assert not here.advance(event("a", 5)), "for another stream"
    assert here.position == place("b", 6)
    assert here.advance(event("", None))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(1, 9, Gap(5, 9, "r")), (5, 9, Gap(5, 9, "r")), (1, 4, None), ("x", 9, Gap(0, 0, "r"))],
)
def test_of_a_loss_what_the_stream_has_is_left_out(first: Any, last: int, expected: Gap | None) -> None:
    here = numbering(at=place("a", 4))
    assert here.lose(loss(first, last, "r", "a", 9), exact=True) == expected
    assert here.position == place("a", 9)


def test_a_loss_before_what_follows_all_the_same() -> None:
    here = numbering(at=place("a", 4))
    assert here.lose(loss(5, 9, "restart", "b", 4), exact=True) == Gap(5, 9, "restart")
    assert here.position == place("a", 4)
    assert here.lose(loss(5, 9, "r", "", None), exact=True) == Gap(5, 9, "r"), "the guest does not say where"
    assert here.position == place("a", 4)


@pytest.mark.parametrize(
    ("exact", "names", "expected"),
    [
        (True, ["X"], Gap(5, 9, "r", names=("X",))),
        (True, ["Z", "Y", "X"], Gap(5, 9, "r", names=("X", "Y"))),
        (True, ["Z"], None),
        (False, ["*"], Gap(5, 9, "r")),
        (True, "X", Gap(5, 9, "r")),
    ],
)
def test_a_loss_of_some_names(exact: bool, names: Any, expected: Gap | None) -> None:
    here = numbering("X", "Y", at=place("a", 4))
    assert here.lose(loss(5, 9, "r", "a", 9, names=names), exact=exact) == expected
    assert here.position == place("a", 9)


def test_numbers_begin_anew() -> None:
    here = numbering(at=place("a", 50))
    assert here.lose(loss(0, 7, "rolled-back", "b", 7), exact=True) == Gap(0, 7, "rolled-back")
    here.present = "b"
    assert here.advance(event("b", 8))


def test_anothers_place_that_meant_nothing() -> None:
    here = numbering(at=place("a", 50))
    assert here.lose(loss(0, 7, "new-epoch", "a", 7), exact=True) is None
    assert here.position == place("a", 50)


def test_what_came_before_numbers_began_anew_is_not_repeated() -> None:
    here = numbering(at=place("a", 2))
    here.advance(event("b", 5))
    here.present = "c"
    here.lose(loss(0, 0, "new-epoch", "a", 0), exact=True)
    repeated = [event("a", 1), event("a", 2), event("a", 3), event("b", 5), event("b", 6), event("c", 7)]
    assert [found.seq for found in repeated if here.advance(found)] == [3, 6, 7]


def test_numbers_of_the_run_that_goes_on_are_taken_as_they_come() -> None:
    """Its memory may have been set back."""
    here = numbering(at=place("a", 2))
    here.lose(loss(0, 0, "new-epoch", "b", 0), exact=True)
    assert here.present == "a"
    assert here.advance(event("a", 1))


def test_an_untold_break() -> None:
    here = numbering(at=place("a", 50))
    here.present = "b"
    assert not here.advance(event("b", 9))
    assert here.break_before(event("a", 9)) is None
    assert here.break_before(event("b", 9)) == Gap(0, 8, "rolled-back")
    assert here.advance(event("b", 9))


def test_runs_are_bounded() -> None:
    here = numbering(at=place("", 0))
    for number in range(1, MAX_RUNS * 2):
        assert here.advance(event(str(number), number))
    assert len(here._ended) == MAX_RUNS
