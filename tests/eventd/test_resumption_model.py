"""Sessions and agents that come and go, and an eventd that is killed, ended or short of disk at any step.

The reference is a table of who is there, and one of what was told. Whatever happened, a run begins with what was told
and is not true any more, tells nothing twice, and leaves nothing out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guestmux_eventd.agent_table import agent_gone
from guestmux_eventd.claims import Claims
from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal import queue, writer
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.store import Item, JournalStore
from guestmux_eventd.resumption import resume
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_eventd.told import Row, Told, ToldAgent, ToldSeat, ToldSession
from guestmux_protocol.events import VERIFIED, AgentRegistered
from guestmux_protocol.sessions import Session
from tests.support.event_guests import EventGuest
from tests.support.journals import copied, everything, memory_folder, opened, place

BOUNDS = Bounds(bytes=MIN_BYTES)
SEAT = "seat0"
MAX_HELD, MAX_QUEUED = 10, 8
"""What a disk that takes nothing leads to after some steps; a full queue is held whole."""

Key = tuple[str, str]
Result = TypeVar("Result")


@dataclass
class Standing:
    """What holds by all events so far, in plain words; it is not the code under test."""

    holds: dict[Key, Any] = field(default_factory=dict)

    def take(self, name: str, data: dict[str, Any]) -> bool:
        """Read an event; returns whether it says anything new."""
        before = dict(self.holds)
        session = data.get("session", "")
        if name == "SESSION_LOGIN":
            self.holds["session", session] = data["login-time"]
        elif name == "SESSION_LOGOUT":
            for kind in ("session", "locked", "idle"):
                self.holds.pop((kind, session), None)
        elif name in ("SESSION_LOCK", "SESSION_UNLOCK"):
            self._set("locked", session, name == "SESSION_LOCK")
        elif name == "SESSION_IDLE":
            self._set("idle", session, data["idle"])
        elif name == "SESSION_ACTIVE":
            self._set("seat", data["seat"], session)
        else:
            self._set("agent", data["agent"], name == "AGENT_REGISTERED")
        return before != self.holds

    def _set(self, kind: str, key: str, value: object) -> None:
        self.holds.pop((kind, key), None)
        if value:
            self.holds[kind, key] = value


def remembered(rows: list[Row]) -> dict[Key, Any]:
    """What eventd knows to have told, as `Standing` has it."""
    told, holds = Told(), dict[Key, Any]()
    told.load(rows)
    for each in told.of(ToldSession):
        session = each.session()
        states = {"session": session.login_time, "locked": session.locked, "idle": session.idle}
        holds |= {(kind, session.session): value for kind, value in states.items() if value}
    holds |= {("seat", each.seat): each.session for each in told.of(ToldSeat)}
    return {**holds, **{("agent", each.agent): True for each in told.of(ToldAgent)}}


class Runs(RuleBasedStateMachine):
    """eventd beside a logind, over many runs."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writer, "MAX_HELD", MAX_HELD)
        self.patch.setattr(queue, "MAX_QUEUED", MAX_QUEUED)
        self.folder = memory_folder()
        self.folders = self.names = 0
        self.boot = 1
        self.there: dict[str, Session] = {}
        self.agents: set[str] = set()
        self.shown = ""
        self.told = Standing()
        self.up = self.full = False
        self.first, self.begun = 1, dict[Key, Any]()
        self.directory = self._new_folder()
        self.guest: EventGuest
        self.sessions: SessionTable
        self.claims: Claims

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if self.up:
            self.end()
        self.patch.undo()
        self.loop.close()
        shutil.rmtree(self.folder)

    # ---- what happens in the guest

    @rule(locked=st.booleans(), count=st.sampled_from([1, 1, MAX_HELD + 4]))
    def log_in(self, locked: bool, count: int) -> None:
        for _ in range(count):
            name = self._name()
            session = Session(session=name, user="u", uid=1000, login_time=float(self.names), locked=locked)
            self.there[name] = session
            self._tell(partial(self._add, session))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def log_out(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.there)))
        del self.there[name]
        self._tell(lambda: self.sessions.remove(name))
        if self.shown == name:
            self._show("")

    @precondition(lambda self: self.there)
    @rule(data=st.data(), what=st.sampled_from(["locked", "idle"]), value=st.booleans())
    def change(self, data: st.DataObject, what: str, value: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.there)))
        self.there[name] = msgspec.structs.replace(self.there[name], **{what: value})
        self._tell(lambda: self.sessions.change(name, {what: value}))

    @rule(data=st.data())
    def show(self, data: st.DataObject) -> None:
        self._show(data.draw(st.sampled_from(["", *sorted(self.there)])))

    @precondition(lambda self: self.up)
    @rule()
    def agent_comes(self) -> None:
        name = self._name()
        self.agents.add(name)
        event = AgentRegistered(session="c", agent=name, version="1", user="u", uid=1, commands=[])
        self._publish([("AGENT_REGISTERED", event)])

    @precondition(lambda self: self.up and self.agents)
    @rule(data=st.data())
    def agent_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.agents)))
        self.agents.remove(name)
        self._publish([agent_gone("c", name, "unregistered")])

    # ---- what becomes of eventd and its disk

    @initialize()
    def first_start(self) -> None:
        self._start()

    @precondition(lambda self: not self.up)
    @rule()
    def start(self) -> None:
        self._start()

    @precondition(lambda self: self.up)
    @rule()
    def end(self) -> None:
        """Cleanly: what was told is remembered, also what the disk did not take."""
        self._disk_takes_all()
        self.run(self.guest.end())
        self.up = False
        rows, _items = self._left()
        assert remembered(rows) == self.told.holds

    @precondition(lambda self: self.up)
    @rule()
    def crash(self) -> None:
        """What was not stored is forgotten. What is remembered is what the journal tells, neither more nor less."""
        left = copied(self.directory, self._new_folder())
        self._disk_takes_all()
        self.run(self.guest.end())
        self.up, self.directory = False, left
        rows, items = self._left()
        if not any(isinstance(item, Gap) and item.reason != "crash" for item in items):
            assert remembered(rows) == _read_on(self.begun, items).holds
        self.told.holds = remembered(rows)

    @precondition(lambda self: not self.up)
    @rule()
    def reboot(self) -> None:
        self.boot += 1
        self.there.clear()
        self.shown = ""

    @precondition(lambda self: self.up and not self.guest.stalled)
    @rule()
    def disk_hangs(self) -> None:
        self.guest.stall()

    @precondition(lambda self: self.up and self.guest.stalled)
    @rule()
    def disk_goes_on(self) -> None:
        self.run(self.guest.go_on())

    @precondition(lambda self: self.up and not self.full)
    @rule()
    def disk_is_full(self) -> None:
        self.full = True
        self.patch.setattr(JournalStore, "append", _full)
        self.patch.setattr(JournalStore, "stand", _full)

    @precondition(lambda self: self.up and self.full)
    @rule()
    def disk_has_room(self) -> None:
        self._disk_takes_all()

    @invariant()
    def all_was_told_that_is_so(self) -> None:
        if self.up:
            truth: dict[Key, Any] = {("agent", name): True for name in self.agents}
            for name, session in self.there.items():
                states = {"session": session.login_time, "locked": session.locked, "idle": session.idle}
                truth |= {(kind, name): value for kind, value in states.items() if value}
            if self.shown:
                truth["seat", SEAT] = self.shown
            assert self.told.holds == truth

    # ---- helpers

    def _start(self) -> None:
        guest = EventGuest(
            self.directory, f"e{self.folders}.{self._name()}", bounds=BOUNDS, boot=str(self.boot)
        )
        self.guest, self.sessions = guest, SessionTable()
        self.claims = Claims(self.sessions, lambda emissions, _source=VERIFIED: self._publish(emissions))
        self.agents.clear()
        self.run(guest.start())
        self.up, self.first, self.begun = True, guest.log.first, dict(self.told.holds)
        self._publish(resume(guest.history.told, self.sessions, self.claims))
        self.claims.publish(self.sessions.keep_only(set(self.there)))
        for session in self.there.values():
            self.claims.publish(self.sessions.add(session))
        self.claims.publish(self.sessions.set_foreground(SEAT, self.shown))

    def _show(self, name: str) -> None:
        self.shown = name
        self._tell(lambda: self.sessions.set_foreground(SEAT, name))

    def _add(self, session: Session) -> list[Emission]:
        return self.sessions.add(session)

    def _tell(self, change: Callable[[], list[Emission]]) -> None:
        if self.up:
            self.claims.publish(change())

    def _publish(self, emissions: list[Emission]) -> None:
        for name, data in emissions:
            members = msgspec.to_builtins(data)
            assert self.told.take(name, members), f"{name} {members} was told before"
            self.run(self.guest.append(name, **members))

    def _disk_takes_all(self) -> None:
        self.patch.undo()
        self.patch.setattr(writer, "MAX_HELD", MAX_HELD)
        self.patch.setattr(queue, "MAX_QUEUED", MAX_QUEUED)
        self.full = False
        self.guest.disk_time.time += writer.RETRY_SECONDS
        self.run(self.guest.go_on())

    def _left(self) -> tuple[list[Row], list[Item]]:
        with opened(place(copied(self.directory, self._new_folder()), bounds=BOUNDS)) as store:
            return store.told, everything(store, self.first - 1)

    def _name(self) -> str:
        self.names += 1
        return f"c{self.names}"

    def _new_folder(self) -> Path:
        self.folders += 1
        return self.folder / str(self.folders)


def _full(*_: object) -> None:
    raise JournalFault("full", "no room left")


def _read_on(holds: dict[Key, Any], items: list[Item]) -> Standing:
    """What holds by what held and the journal behind that; each of its events says something new."""
    standing = Standing(dict(holds))
    for item in items:
        if isinstance(item, Entry):
            assert standing.take(item.name, json.loads(item.data)), f"{item.name} {item.data!r} is told twice"
    return standing


TestRuns = Runs.TestCase
TestRuns.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
