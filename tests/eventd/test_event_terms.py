"""What a subscription asks for: how it is read, and what it admits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import MAX_RATE, Terms, about, read_terms
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.commands import NATIVE
from guestmux_protocol.events import EVENTS, EVERY_ONE, STREAM_EVENTS
from guestmux_protocol.patterns import EventFilter
from guestmux_protocol.schema import InvalidParameter


def read(**arguments: Any) -> Terms:
    return read_terms(NATIVE["guest-event-subscribe"].parse(arguments))


def event(name: str = "A", **data: Any) -> Entry:
    return Entry(1, name, json.dumps(data).encode(), 0)


def test_nothing_said_is_everything() -> None:
    terms = read()
    assert (terms.wanted.patterns, terms.name, terms.sessions, terms.users) == (("*",), "", None, None)
    assert (terms.rates, terms.beacon, terms.window, terms.by_name_alone) == ((), 0.0, 0, True)


def test_all_that_can_be_said() -> None:
    terms = read(
        events=["A*"],
        subscription="s",
        sessions=["1"],
        users=[],
        rate={"A?": 2, "*": 0.5},
        beacon=3,
        window=9,
    )
    assert (terms.name, terms.sessions, terms.users) == ("s", frozenset({"1"}), frozenset())
    assert [(names.patterns, rate) for names, rate in terms.rates] == [(("A?",), 2), (("*",), 0.5)]
    assert (terms.beacon, terms.window, terms.by_name_alone) == (3, 9, False)


@pytest.mark.parametrize("rate", [0, -1, MAX_RATE * 2])
def test_rates_that_cannot_be(rate: float) -> None:
    with pytest.raises(CommandFailure, match="rate of 'A': more than 0, at most 1000000 a second"):
        read(rate={"A": rate})


@pytest.mark.parametrize("name", sorted(EVERY_ONE))
def test_what_is_kept_every_one_has_no_rate(name: str) -> None:
    with pytest.raises(CommandFailure, match=f"{name} is kept every one, and has no rate"):
        read(rate={name: 1})


@pytest.mark.parametrize("arguments", [{"events": ["a b"]}, {"rate": {"": 1}}, {"rate": {"a b": 1}}])
def test_patterns_that_cannot_be(arguments: dict[str, Any]) -> None:
    with pytest.raises(CommandFailure, match="is no event pattern"):
        read(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"beacon": 0},
        {"beacon": 100_000},
        {"window": 0},
        {"window": 65_537},
        {"subscription": "x" * 65},
        {"sessions": [str(number) for number in range(257)]},
        {"rate": {str(number): 1 for number in range(65)}},
        {"since": {"epoch": "e", "seq": -1}},
    ],
)
def test_what_is_refused_by_its_type(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        read(**arguments)


@pytest.mark.parametrize(
    ("data", "admitted"),
    [
        ({}, True),
        ({"session": "1"}, True),
        ({"session": "2"}, False),
        ({"session": "1", "user": "alice"}, True),
        ({"session": "1", "user": "bob"}, False),
        ({"user": "bob"}, False),
        ({"session": None, "user": None}, True),
        ({"session": 7}, False),
        ({"deep": {"session": "2"}}, True),
    ],
)
def test_about_whom(data: dict[str, Any], admitted: bool) -> None:
    terms = read(sessions=["1"], users=["alice"])
    assert terms.admits(event(**data)) == admitted
    assert not read(events=["B"], sessions=["1"]).admits(event(**data))


def test_who_an_event_is_about() -> None:
    assert about(event(session="1", user="alice", other=[1])) == ("1", "alice")
    assert about(event()) == (None, None)


@pytest.mark.parametrize(
    ("pattern", "stored", "unstored"),
    [
        ("*", True, True),
        ("SESSION_*", True, False),
        ("SESSION_LOGIN", True, False),
        ("APP_FOCUSED", False, True),
        ("A*", True, True),
        ("__org.example_*", False, True),
        ("_*", False, True),
        ("?ESSION_LOGIN", True, True),
        ("NOTHING_OF_THE_KIND", False, False),
        ("BEACON", False, False),
    ],
)
def test_where_what_a_pattern_matches_may_be(pattern: str, stored: bool, unstored: bool) -> None:
    terms = Terms(EventFilter([pattern]))
    assert (terms.stored(), terms.unstored()) == ([pattern] * stored, [pattern] * unstored)


@pytest.mark.parametrize("name", sorted(set(EVENTS) - STREAM_EVENTS))
def test_every_name_is_stored_or_not(name: str) -> None:
    terms = Terms(EventFilter([name]))
    assert (terms.stored() == [name]) == (name in EVERY_ONE)
    assert (terms.unstored() == [name]) == (name not in EVERY_ONE)


def test_patterns_are_taken_back_as_they_were_given() -> None:
    terms = Terms(EventFilter(["A", "A*", "B"]), name="s", window=3)
    left = terms.without(["A", "C"])
    assert left == Terms(left.wanted, name="s", window=3)
    assert left.wanted.patterns == ("A*", "B")
