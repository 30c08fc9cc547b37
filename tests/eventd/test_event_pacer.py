"""Rates: what passes, what is kept back and replaced, what is sent when its time has come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd import event_pacer
from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_pacer import MAX_SLOTS, EventPacer
from guestmux_protocol.patterns import EventFilter
from tests.support.event_guests import Now

ANY = 1 << 30
"""Bytes of late events; more than there are."""


def event(seq: int, name: str = "A", **data: Any) -> Entry:
    return Entry(seq, name, json.dumps({"epoch": "e", "seq": seq, **data}).encode(), 0)


def pacer(now: Now, **rates: float) -> EventPacer:
    return EventPacer([(EventFilter([name]), rate) for name, rate in rates.items()], now)


def late(pacer: EventPacer, limit: int = ANY) -> list[int]:
    """The numbers of what is due; each says that it is late."""
    entries = pacer.due(limit)
    assert all(json.loads(entry.data)["late"] is True for entry in entries)
    return [entry.seq for entry in entries]


def test_one_passes_at_once_and_the_last_of_the_others_when_its_time_has_come() -> None:
    now = Now()
    paced = pacer(now, A=2.0)
    assert [paced.passes(event(seq)) for seq in (1, 2, 3)] == [True, False, False]
    assert (late(paced), paced.next_due()) == ([], now.time + 0.5)
    now.time += 0.5
    assert (late(paced), paced.next_due()) == ([3], None)
    assert not paced.passes(event(4))
    now.time += 0.5
    assert late(paced) == [4]
    now.time += 0.5
    assert paced.passes(event(5))


def test_what_is_due_is_not_overtaken() -> None:
    """Its time has come, and nobody took it: a later one takes its place, and does not go before."""
    now = Now()
    paced = pacer(now, A=1.0)
    assert [paced.passes(event(seq)) for seq in (1, 2)] == [True, False]
    now.time += 1
    assert not paced.passes(event(3))
    assert late(paced) == [3]


def test_names_and_sessions_are_told_apart_and_others_have_no_rate() -> None:
    paced = EventPacer([(EventFilter(["A*"]), 1.0), (EventFilter(["*"]), 0.001)], Now())
    one, two = (event(seq, session=str(seq)) for seq in (1, 2))
    assert all(paced.passes(each) for each in (one, two, event(3), event(4, "AB")))
    assert not any(paced.passes(each) for each in (one, two, event(3), event(4, "AB")))
    assert all(paced.passes(event(seq, "SESSION_LOGIN")) for seq in (5, 6))
    assert not paced.paces("SESSION_LOGIN")
    assert pacer(Now(), A=1.0).passes(event(1, "B"))


def test_the_first_pattern_that_matches_decides() -> None:
    now = Now()
    paced = EventPacer([(EventFilter(["A*"]), 1.0), (EventFilter(["*"]), 0.001)], now)
    for seq in (1, 2):
        paced.passes(event(seq))
    assert paced.next_due() == now.time + 1


def test_late_ones_come_in_the_order_of_their_numbers_and_a_batch_at_a_time() -> None:
    now = Now()
    paced = pacer(now, A=1.0)
    events = [event(seq, session=str(seq % 5)) for seq in range(10, 20)]
    for each in events:
        paced.passes(each)
    now.time += 1
    size = events[-1].size
    assert late(paced, 2 * size) == [15, 16]
    assert paced.next_due() == now.time
    assert late(paced) == [17, 18, 19]


def test_the_last_of_each_kind_is_repeated_once() -> None:
    now = Now()
    paced = pacer(now, A=1.0)
    paced.repeat([event(1, session="1"), event(2, session="2"), event(3, session="1")])
    assert late(paced) == [2, 3]
    assert late(paced) == []
    assert not paced.passes(event(4, session="1"))


def test_more_kinds_than_there_is_place_for_pass_and_are_repeated() -> None:
    now = Now()
    paced = pacer(now, A=1.0)
    for turn in range(2):
        passed = [paced.passes(event(seq, session=str(seq))) for seq in range(MAX_SLOTS + 5)]
        assert passed == [turn == 0] * MAX_SLOTS + [True] * 5
    now.time += 1
    assert len(late(paced)) == MAX_SLOTS
    now.time += 1
    assert paced.passes(event(9, session="new"))
    assert len(paced._slots) == 1
    other = pacer(now, A=1.0)
    other.repeat(event(seq, session=str(seq)) for seq in range(MAX_SLOTS + 5))
    assert len(late(other)) == MAX_SLOTS + 5


def test_what_is_kept_back_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pacer, "MAX_HELD_BYTES", 1000)
    now = Now()
    paced = pacer(now, A=1.0)
    passed = [paced.passes(event(seq, session=str(seq % 20), x="x" * 300)) for seq in range(40)]
    assert passed == [True] * 20 + [False] * 3 + [True] * 17
    assert paced._held_bytes <= 1000 + 500
    assert paced.passes(event(99, session="0"))
    now.time += 1
    assert late(paced) == [21, 22]


def test_what_is_wanted_no_more_is_forgotten() -> None:
    now = Now()
    paced = pacer(now, A=1.0, B=1.0)
    for seq in (1, 2):
        paced.passes(event(seq, "A"))
        paced.passes(event(seq, "B"))
    paced.forget(EventFilter(["B"]))
    now.time += 1
    assert [entry.name for entry in paced.due(ANY)] == ["B"]
    assert paced._held_bytes == paced._holding == 0


@given(
    st.lists(
        st.one_of(st.tuples(st.sampled_from("AB"), st.sampled_from("12")), st.floats(0.01, 3), st.none()),
        max_size=60,
    )
)
def test_the_last_of_each_kind_is_always_sent_and_never_more_than_the_rate(
    steps: list[tuple[str, str] | float | None],
) -> None:
    """A pair is an event, a number is time that passes, None is when what is late is taken."""
    now = Now()
    paced = pacer(now, A=1.0)
    latest: dict[tuple[str, str], int] = {}
    sent: dict[tuple[str, str], tuple[int, float]] = {}

    def note(seq: int, kind: tuple[str, str]) -> None:
        before, time = sent.get(kind, (0, -10.0))
        assert seq > before
        assert kind[0] == "B" or now.time >= time + 1
        sent[kind] = seq, now.time

    for seq, step in enumerate([*steps, 1.0, None], 1):
        if isinstance(step, tuple):
            latest[step] = seq
            if paced.passes(event(seq, step[0], session=step[1])):
                note(seq, step)
        elif step is not None:
            now.time += step
        else:
            for entry in paced.due(ANY):
                note(entry.seq, (entry.name, json.loads(entry.data)["session"]))
    assert {kind: seq for kind, (seq, _) in sent.items()} == latest
