"""Sessions and the events that their changes are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guestmux_eventd.session_table import MAX_SESSIONS, Emission, SessionNotFound, SessionTable
from guestmux_protocol.sessions import Session

ALICE = Session(session="c1", user="alice", uid=1000, seat="seat0", tty="tty1", type="tty", login_time=1.0)
BOB = Session(session="c2", user="bob", uid=1001, login_time=2.0)


def told(emissions: list[Emission]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, msgspec.to_builtins(data)) for name, data in emissions]


def table(*sessions: Session) -> SessionTable:
    made = SessionTable()
    for session in sessions:
        made.add(session)
    return made


def test_login_and_logout_name_the_session() -> None:
    sessions = table()
    ((name, data),) = told(sessions.add(ALICE))
    assert name == "SESSION_LOGIN"
    assert (data["session"], data["user"], data["uid"], data["seat"]) == ("c1", "alice", 1000, "seat0")
    assert told(sessions.remove("c1"))[0][0] == "SESSION_LOGOUT"
    assert sessions.remove("c1") == []


def test_a_session_that_is_locked_already_says_so_at_once() -> None:
    locked = msgspec.structs.replace(ALICE, locked=True, idle=True)
    names = [name for name, _data in table().add(locked)]
    assert names == ["SESSION_LOGIN", "SESSION_LOCK", "SESSION_IDLE"]


@pytest.mark.parametrize("session_class", ["manager", "background"])
def test_sessions_in_which_nobody_sits_are_no_logins(session_class: str) -> None:
    sessions = table()
    assert sessions.add(msgspec.structs.replace(ALICE, session_class=session_class)) == []
    assert "c1" not in sessions


def test_only_changes_are_told() -> None:
    sessions = table(ALICE)
    assert sessions.add(ALICE) == []
    assert sessions.change("c1", {"locked": False, "state": "active"}) == []
    assert [n for n, _ in sessions.change("c1", {"locked": True, "idle": True})] == [
        "SESSION_LOCK",
        "SESSION_IDLE",
    ]
    assert [n for n, _ in sessions.change("c1", {"locked": False})] == ["SESSION_UNLOCK"]
    assert sessions.change("c9", {"locked": True}) == []


def test_what_changed_while_the_bus_was_gone_is_told_as_differences() -> None:
    sessions = table(ALICE, BOB)
    assert [n for n, _ in sessions.keep_only({"c2"})] == ["SESSION_LOGOUT"]
    assert [n for n, _ in sessions.add(msgspec.structs.replace(BOB, locked=True))] == ["SESSION_LOCK"]


def test_an_id_that_was_given_anew_is_another_session() -> None:
    sessions = table(ALICE)
    carol = Session(session="c1", user="carol", uid=1002, login_time=9.0)
    assert [n for n, _ in sessions.add(carol)] == ["SESSION_LOGOUT", "SESSION_LOGIN"]
    assert sessions.get("c1") == carol


def test_an_unconfirmed_lock_is_told_once_and_ends_with_the_unlock() -> None:
    sessions = table(ALICE)
    assert told(sessions.lock_unconfirmed("c1"))[0][1]["confirmed"] is False
    assert sessions.lock_unconfirmed("c1") == []
    assert [n for n, _ in sessions.unlock_requested("c1")] == ["SESSION_UNLOCK"]
    assert sessions.unlock_requested("c1") == []


def test_a_slow_locker_still_confirms() -> None:
    sessions = table(ALICE)
    sessions.lock_unconfirmed("c1")
    assert told(sessions.change("c1", {"locked": True}))[0][1]["confirmed"] is True
    assert sessions.unlock_requested("c1") == []


def test_a_locked_session_needs_no_unconfirmed_event() -> None:
    sessions = table(msgspec.structs.replace(ALICE, locked=True))
    assert sessions.lock_unconfirmed("c1") == []
    assert sessions.lock_unconfirmed("c9") == []


def test_the_foreground_of_a_seat_is_told_when_it_changes() -> None:
    sessions = table(ALICE)
    ((name, data),) = told(sessions.set_foreground("seat0", "c1"))
    assert (name, data) == (
        "SESSION_ACTIVE",
        {"seat": "seat0", "session": "c1", "user": "alice", "uid": 1000},
    )
    assert sessions.set_foreground("seat0", "c1") == []
    assert told(sessions.set_foreground("seat0", "")) == [("SESSION_ACTIVE", {"seat": "seat0"})]


def test_a_foreground_that_was_not_known_is_told_when_it_is() -> None:
    sessions = table()
    assert told(sessions.set_foreground("seat0", "c1")) == [("SESSION_ACTIVE", {"seat": "seat0"})]
    assert sessions.set_foreground("seat0", "c1") == []
    sessions.add(ALICE)
    ((_name, data),) = told(sessions.set_foreground("seat0", "c1"))
    assert data["session"] == "c1"
    assert sessions.set_foreground("seat0", "c1") == []


def test_selectors() -> None:
    later = msgspec.structs.replace(ALICE, session="c3", login_time=3.0)
    foreground = msgspec.structs.replace(ALICE, session="c4", login_time=0.5, active=True)
    sessions = table(ALICE, BOB, later)
    sessions.set_foreground("seat0", "c2")
    assert sessions.select("c1") == "c1"
    assert sessions.select("active") == "c2"
    assert sessions.select("user:alice") == "c3"
    sessions.add(foreground)
    assert sessions.select("user:alice") == "c4"


@pytest.mark.parametrize(
    ("selector", "lack"),
    [
        ("c9", "there is no session 'c9'"),
        ("active", "no session is in the foreground of seat0"),
        ("user:carol", "user 'carol' has no session"),
    ],
)
def test_what_is_missing_is_said(selector: str, lack: str) -> None:
    with pytest.raises(SessionNotFound) as caught:
        table(ALICE).select(selector)
    assert str(caught.value) == f"{lack}; guest-get-sessions lists them"


@pytest.mark.parametrize("selector", ["c9", "active", "user:carol", "user:", "", "x" * 10_000])
def test_a_selector_that_fits_nothing_is_refused_in_few_words(selector: str) -> None:
    with pytest.raises(SessionNotFound) as caught:
        table(ALICE).select(selector)
    assert len(str(caught.value)) < 250


def test_the_table_is_bounded() -> None:
    sessions = table()
    for number in range(MAX_SESSIONS + 5):
        sessions.add(msgspec.structs.replace(ALICE, session=f"c{number}"))
    assert len(list(sessions)) == MAX_SESSIONS
