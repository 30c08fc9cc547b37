"""Events of agents on both ways in: each costs a token before it is looked at, and says nothing in eventd's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.event_intake import MAX_EVENT_BYTES, NOT_AN_EVENT, EventIntake
from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.event_reader import RESERVED_MEMBERS
from guestmux_eventd.identity import Identity
from guestmux_eventd.privacy import Privacy
from guestmux_eventd.privacy_rules import PrivacyRule
from guestmux_eventd.refusal import Refusal
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.json_text import decode
from guestmux_protocol.registry import declared_event
from guestmux_transport.values import object_from_json

OPEN, TYPED = "__org.example_OPEN", "__org.example_TYPED"
SCHEMA = '{"data": {"*n": "int", "*text": "str", "*numbers": ["number"]}}'


@dataclass
class Rig:
    """An intake, and one agent with a bucket that does not refill by itself."""

    by_text: bool
    tokens: float = 1000.0
    rules: list[PrivacyRule] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = 0.0
        self.log = EventLog("e", lambda: 5.0)
        self.intake = EventIntake(self.log, 1.0, Privacy(self.rules))
        self.agent = Agent(
            sender=":1.5",
            path="/a",
            name="org.example.a",
            version="",
            session="c1",
            identity=Identity(1000, 1, "alice"),
            bucket=TokenBucket(1.0, self.tokens, lambda: self.now),
            events={OPEN: declared_event(OPEN, ""), TYPED: declared_event(TYPED, SCHEMA)},
        )

    def emit(self, name: str, data: dict[str, Any]) -> int:
        if self.by_text:
            return self.intake.emit_text(self.agent, name, json.dumps(data).encode())
        return self.intake.emit([self.agent], name, object_from_json(data))

    def refused(self, name: str, data: dict[str, Any]) -> str:
        with pytest.raises(Refusal) as caught:
            self.emit(name, data)
        return caught.value.error

    @property
    def entries(self) -> list[Entry]:
        return list(self.log.after(0))


@pytest.fixture(params=["d-bus", "channel"])
def make(request: pytest.FixtureRequest) -> Callable[..., Rig]:
    return lambda **options: Rig(request.param == "channel", **options)


WRONG = [
    ("__org.example_OTHER", {}, "Denied"),
    ("SESSION_LOGIN", {}, "Denied"),
    ("AGENT_GONE", {}, "Denied"),
    ("EVENTS_LOST", {}, "Denied"),
    ("BEACON", {}, "Denied"),
    (TYPED, {"n": "1"}, "InvalidArgument"),
    (TYPED, {"m": 1}, "InvalidArgument"),
    (OPEN, {"seq": 1}, "InvalidArgument"),
    (OPEN, {"text": "x" * MAX_EVENT_BYTES}, "TooLarge"),
    (TYPED, {"text": "x" * MAX_EVENT_BYTES}, "TooLarge"),
    (OPEN, {"list": ["x"] * MAX_EVENT_BYTES}, "TooLarge"),
]


@pytest.mark.parametrize(("name", "data", "error"), WRONG)
def test_what_is_refused_costs_a_token_as_well(
    make: Callable[..., Rig], name: str, data: dict[str, Any], error: str
) -> None:
    rig = make(tokens=2.0)
    assert rig.refused(name, data) == error
    assert rig.emit(OPEN, {}) == 1
    assert rig.refused(OPEN, {}) == "LimitExceeded"
    assert len(rig.entries) == 1


@pytest.mark.parametrize(("name", "data", "error"), WRONG)
def test_without_a_token_nothing_is_looked_at(
    make: Callable[..., Rig], name: str, data: dict[str, Any], error: str
) -> None:
    rig = make(tokens=0.0)
    assert rig.refused(name, data) == "LimitExceeded"
    rig.now = 1.0  # burst 0: it never fills
    assert rig.refused(OPEN, {}) == "LimitExceeded"


def test_garbage_costs_a_token_and_no_decoding_without_one() -> None:
    rig = Rig(by_text=True, tokens=1.0)
    for error in ("InvalidArgument", "LimitExceeded"):
        with pytest.raises(Refusal) as caught:
            rig.intake.emit_text(rig.agent, OPEN, b"[" * 60_000)
        assert caught.value.error == error


@pytest.mark.parametrize("member", sorted(RESERVED_MEMBERS))
def test_what_eventd_says_no_agent_says(make: Callable[..., Rig], member: str) -> None:
    rig = make()
    assert rig.refused(OPEN, {member: "verified"}) == "InvalidArgument"
    assert rig.refused(OPEN, {"n": 1, member: 1}) == "InvalidArgument"
    assert rig.refused(TYPED, {member: "verified"}) == "InvalidArgument"
    assert rig.entries == []


@pytest.mark.parametrize("member", sorted(RESERVED_MEMBERS))
def test_nor_declares_that_it_will(member: str) -> None:
    rig = Rig(by_text=False)
    for optional in ("", "*"):
        text = json.dumps({"data": {optional + member: "str"}})
        rig.agent.events = {TYPED: declared_event(TYPED, text)}
        with pytest.raises(Refusal, match="fills in itself"):
            AgentTable().add(rig.agent)


@pytest.mark.parametrize(
    "text", [b'{"so\\u0075rce": "verified"}', b'{"s\\u0065q": 1}', b'{"n": 1, "l\\u0061te": true}']
)
def test_however_the_name_is_written(text: bytes) -> None:
    rig = Rig(by_text=True)
    for name in (OPEN, TYPED):
        with pytest.raises(Refusal):
            rig.intake.emit_text(rig.agent, name, text)


def test_what_an_event_has_of_eventds(make: Callable[..., Rig]) -> None:
    rig = make()
    for name in (OPEN, TYPED):
        seq = rig.emit(name, {"n": 1, "text": 'verified", "source": "verified'})
        entry = rig.entries[-1]
        assert (entry.seq, entry.name, entry.time) == (seq, name, 5_000_000)
        assert decode(entry.data) == {
            "epoch": "e",
            "seq": seq,
            "source": "claimed",
            "session": "c1",
            "user": "alice",
            "agent": "org.example.a",
            "n": 1,
            "text": 'verified", "source": "verified',
        }


GROWING = [
    '{"text": "%s"}' % ("ü" * 32_000),
    '{"text": "%s"}' % ("\U0001f600" * 16_000),
    '{"numbers": [%s1]}' % ("1e15," * 13_000),
    '{"numbers": [%s1]}' % ("1e300," * 10_000),
]


@pytest.mark.parametrize("text", GROWING)
@pytest.mark.parametrize("name", [OPEN, TYPED])
def test_an_event_grows_by_little_when_it_is_written_anew(name: str, text: str) -> None:
    """As ASCII, and with numbers in full; hosts and the journal have room for that."""
    rig = Rig(by_text=True)
    rig.intake.emit_text(rig.agent, name, text.encode())
    (entry,) = rig.entries
    assert entry.data.isascii()
    assert entry.size <= 6 * MAX_EVENT_BYTES
    assert json.loads(text).items() <= decode(entry.data).items()


def test_the_same_by_d_bus() -> None:
    rig = Rig(by_text=False)
    rig.emit(OPEN, {"text": "ü" * 65_000, "more": [1]})
    assert rig.entries[0].size <= 6 * MAX_EVENT_BYTES


def test_what_is_withheld_is_in_no_entry(make: Callable[..., Rig]) -> None:
    rules = [
        PrivacyRule(events=[TYPED], withhold=["text", "user", "agent"]),
        PrivacyRule(events=[OPEN], drop=True),
    ]
    rig = make(rules=rules, tokens=3.0)
    assert rig.emit(TYPED, {"n": 1, "text": "secret"}) == 1
    assert decode(rig.entries[0].data) == {
        "epoch": "e",
        "seq": 1,
        "source": "claimed",
        "session": "c1",
        "n": 1,
    }
    assert rig.emit(OPEN, {"anything": 1}) == NOT_AN_EVENT
    assert rig.refused(OPEN, {"seq": 1}) == "InvalidArgument"
    assert rig.refused(OPEN, {}) == "LimitExceeded"
    assert len(rig.entries) == 1


def test_who_is_not_registered_is_told_so() -> None:
    rig = Rig(by_text=False)
    with pytest.raises(Refusal) as caught:
        rig.intake.emit([], OPEN, {})
    assert caught.value.error == "NotRegistered"
