"""What was told and still holds: one row for each session, seat and agent, as the last event about it has it."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_eventd.session_table import NOBODY
from guestmux_eventd.told import Told, ToldAgent, ToldSeat, ToldSession
from guestmux_protocol.events import CLAIMED, VERIFIED

LOGIN = {"session": "c1", "user": "alice", "uid": 1000, "type": "tty", "class": "user", "login-time": 5.25}
REF = {"session": "c1", "user": "alice", "uid": 1000}


def told(*events: tuple[str, dict[str, Any]], source: str = VERIFIED) -> Told:
    made = Told("boot")
    for name, data in events:
        made.take(name, data, source)
    return made


def test_a_login_stands_until_the_logout() -> None:
    standing = told(("SESSION_LOGIN", LOGIN))
    (found,) = standing.of(ToldSession)
    assert found == ToldSession(login=LOGIN, boot="boot")
    session = found.session()
    assert (session.session, session.user, session.uid, session.login_time) == ("c1", "alice", 1000, 5.25)
    assert standing.take("SESSION_LOGOUT", REF, VERIFIED) == ("session c1", None)
    assert standing.rows() == []
    assert standing.take("SESSION_LOGOUT", REF, VERIFIED) is None


@pytest.mark.parametrize(
    ("event", "data", "source", "state"),
    [
        ("SESSION_LOCK", {"confirmed": True}, VERIFIED, ("confirmed", "")),
        ("SESSION_LOCK", {"confirmed": False}, VERIFIED, ("unconfirmed", "")),
        ("SESSION_LOCK", {"confirmed": True}, CLAIMED, ("claimed", "")),
        ("SESSION_LOCK", {}, VERIFIED, ("confirmed", "")),
        ("SESSION_IDLE", {"idle": True}, VERIFIED, ("", "confirmed")),
        ("SESSION_IDLE", {"idle": True}, CLAIMED, ("", "claimed")),
        ("SESSION_IDLE", {}, VERIFIED, ("", "")),
    ],
)
def test_what_became_of_it_is_known_with_who_said_so(
    event: str, data: dict[str, Any], source: str, state: tuple[str, str]
) -> None:
    standing = told(("SESSION_LOGIN", LOGIN))
    standing.take(event, {**REF, **data}, source)
    (found,) = standing.of(ToldSession)
    assert (found.locked, found.idle) == state
    assert (found.session().locked, found.session().idle) == tuple(each == "confirmed" for each in state)
    standing.take("SESSION_UNLOCK", REF, source)
    standing.take("SESSION_IDLE", {**REF, "idle": False}, source)
    assert standing.of(ToldSession) == [ToldSession(login=LOGIN, boot="boot")]


def test_of_a_session_that_was_not_told_nothing_stands() -> None:
    assert told(("SESSION_LOCK", REF), ("SESSION_IDLE", {**REF, "idle": True})).rows() == []


def test_what_is_withheld_is_not_known() -> None:
    (found,) = told(("SESSION_LOGIN", {"session": "c1"})).of(ToldSession)
    session = found.session()
    assert (session.user, session.uid, session.login_time) == ("", NOBODY, 0.0)
    assert told(("AGENT_REGISTERED", {"session": "c1"}), ("SESSION_ACTIVE", {"session": "c1"})).rows() == []


def test_a_seat_stands_while_somebody_is_in_its_foreground() -> None:
    standing = told(("SESSION_ACTIVE", {"seat": "seat0", **REF}))
    assert standing.of(ToldSeat) == [ToldSeat(seat="seat0", session="c1", boot="boot")]
    standing.take("SESSION_ACTIVE", {"seat": "seat0"}, VERIFIED)
    assert standing.rows() == []


def test_an_agent_stands_until_it_is_gone_however_often_it_registers() -> None:
    agent = {"session": "c1", "agent": "org.example.a"}
    standing = told(("AGENT_REGISTERED", agent), ("AGENT_REGISTERED", {**agent, "commands": ["x"]}))
    assert standing.of(ToldAgent) == [ToldAgent(session="c1", agent="org.example.a")]
    standing.take("AGENT_GONE", {**agent, "reason": "x"}, VERIFIED)
    assert standing.rows() == []


def test_other_events_change_nothing() -> None:
    assert told().take("POWER_SLEEP", {}, VERIFIED) is None


def test_rows_are_taken_over_but_for_those_that_cannot_be_read() -> None:
    before = told(("SESSION_LOGIN", LOGIN), ("SESSION_ACTIVE", {"seat": "seat0", **REF}))
    after = Told("next")
    spoiled = [
        ("session c2", b"{"),
        ("session c3", b'{"login": {"session": 3}}'),
        ("seat x", b"\xff"),
        ("of later", b"{}"),
    ]
    after.load([*before.rows(), *spoiled])
    assert after.rows() == before.rows()
    assert after.of(ToldSession)[0].boot == "boot"


def test_what_has_no_room_is_forgotten_and_no_more_than_that() -> None:
    standing = Told(max_bytes=300)
    for number in range(5):
        standing.take("SESSION_LOGIN", {**LOGIN, "session": f"c{number}"}, VERIFIED)
    assert [each.login["session"] for each in standing.of(ToldSession)] == ["c0", "c1"]
    # A row that has outgrown its room must not stay as it was.
    grown = {**LOGIN, "session": "c1", "desktop": "x" * 300}
    assert standing.take("SESSION_LOGIN", grown, VERIFIED) == ("session c1", None)
    assert [each.login["session"] for each in standing.of(ToldSession)] == ["c0"]
    standing.take("SESSION_LOGOUT", {**REF, "session": "c0"}, VERIFIED)
    assert repr(standing) == "<Told 0 rows 0 bytes>"
