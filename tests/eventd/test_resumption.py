"""The first words of a run of eventd: what of the last one's is over. All else is known, and only changes are told."""

from __future__ import annotations

from typing import Any

import msgspec

from guestmux_eventd.claims import Claims
from guestmux_eventd.resumption import resume
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_eventd.told import Told
from guestmux_protocol.events import CLAIMED, VERIFIED
from guestmux_protocol.sessions import Session

ALICE = Session(session="c1", user="alice", uid=1000, seat="seat0", type="tty", login_time=1.5)
BOB = Session(session="c2", user="bob", uid=1001, login_time=2.5)


class Run:
    """A run of eventd, as far as it has to do with sessions."""

    def __init__(self, rows: list[tuple[str, bytes]], boot: str = "boot") -> None:
        self.told = Told(boot)
        self.told.load(rows)
        self.sessions = SessionTable()
        self.claims = Claims(self.sessions, lambda _emissions, _source=VERIFIED: None)
        self.first = self.tell(resume(self.told, self.sessions, self.claims))

    def tell(self, emissions: list[Emission], source: str = VERIFIED) -> list[tuple[str, dict[str, Any]]]:
        told = [(name, msgspec.to_builtins(data)) for name, data in emissions]
        for name, data in told:
            self.told.take(name, data, source)
        return told

    def add(self, *sessions: Session) -> list[str]:
        return [name for each in sessions for name, _data in self.tell(self.sessions.add(each))]

    def next(self, boot: str = "boot") -> Run:
        return Run(self.told.rows(), boot)


def begun() -> Run:
    run = Run([])
    run.add(ALICE, BOB)
    run.tell(run.sessions.set_foreground("seat0", "c1"))
    return run


def test_what_is_as_it_was_is_not_told_again() -> None:
    run = begun().next()
    assert run.first == []
    assert run.tell(run.sessions.keep_only({"c1", "c2"})) == []
    assert run.add(ALICE, BOB) == []
    assert run.tell(run.sessions.set_foreground("seat0", "c1")) == []
    assert run.sessions.ids() == ["c1", "c2"]


def test_what_has_changed_is_told() -> None:
    run = begun()
    run.tell(run.sessions.change("c1", {"locked": True}))
    run = run.next()
    carol = Session(session="c3", user="carol", uid=1002, login_time=3.5)
    assert run.tell(run.sessions.keep_only({"c1", "c3"})) == [
        ("SESSION_LOGOUT", {"session": "c2", "user": "bob", "uid": 1001, "reason": "unseen"})
    ]
    unlocked_and_idle = msgspec.structs.replace(ALICE, locked=False, idle=True)
    assert run.add(unlocked_and_idle, carol) == ["SESSION_UNLOCK", "SESSION_IDLE", "SESSION_LOGIN"]
    assert run.tell(run.sessions.set_foreground("seat0", "")) == [("SESSION_ACTIVE", {"seat": "seat0"})]
    assert run.next().first == []


def test_an_id_that_was_given_anew_is_another_session() -> None:
    run = begun().next()
    later = msgspec.structs.replace(ALICE, login_time=9.0)
    other = msgspec.structs.replace(BOB, user="carol", uid=1002)
    assert run.add(later, other) == ["SESSION_LOGOUT", "SESSION_LOGIN"] * 2


def test_a_session_of_which_little_was_told_is_taken_for_the_one_with_its_id() -> None:
    run = Run([])
    run.told.take("SESSION_LOGIN", {"session": "c1"}, VERIFIED)
    run = run.next()
    assert run.add(ALICE) == []
    assert run.sessions.get("c1") == ALICE


def test_sessions_of_an_earlier_boot_are_over_at_once_and_once() -> None:
    run = begun().next("another")
    assert run.first == [
        (
            "SESSION_LOGOUT",
            {"session": "c1", "user": "alice", "uid": 1000, "seat": "seat0", "reason": "reboot"},
        ),
        ("SESSION_LOGOUT", {"session": "c2", "user": "bob", "uid": 1001, "reason": "reboot"}),
        ("SESSION_ACTIVE", {"seat": "seat0"}),
    ]
    # The id is another session's in this boot.
    assert run.add(ALICE) == ["SESSION_LOGIN"]
    assert run.tell(run.sessions.set_foreground("seat0", "c1")) != []
    assert run.next("another").first == []


def test_where_the_boot_is_not_known_logind_says_who_is_there() -> None:
    assert begun().next("").first == []
    run = Run([], boot="")
    run.add(ALICE)
    assert run.next("another").first == []


def test_agents_are_gone_with_the_eventd_that_they_were_registered_with() -> None:
    run = begun()
    run.told.take("AGENT_REGISTERED", {"session": "c1", "agent": "org.example.a"}, VERIFIED)
    run = run.next()
    assert run.first == [
        ("AGENT_GONE", {"session": "c1", "agent": "org.example.a", "reason": "eventd-ended"})
    ]
    assert run.next().first == []


def test_a_lock_that_nobody_confirmed_is_told_once_and_ends_with_the_unlock() -> None:
    run = begun()
    run.tell(run.sessions.lock_unconfirmed("c1"))
    run = run.next()
    assert run.tell(run.sessions.lock_unconfirmed("c1")) == []
    assert [name for name, _data in run.tell(run.sessions.unlock_requested("c1"))] == ["SESSION_UNLOCK"]
    assert run.next().sessions.unlock_requested("c1") == []


def test_what_agents_claimed_is_known_as_claimed() -> None:
    run = begun()
    ref = {"session": "c1", "user": "alice", "uid": 1000}
    run.told.take("SESSION_LOCK", {**ref, "confirmed": True}, CLAIMED)
    run.told.take("SESSION_IDLE", {**ref, "idle": True}, CLAIMED)
    run = run.next()
    assert run.add(ALICE) == []
    assert {what for _session, what in run.claims._standings} == {"locked", "idle"}
    assert all(standing.told for standing in run.claims._standings.values())
