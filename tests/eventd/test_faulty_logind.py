"""eventd's sources before a logind that hangs, comes late, or answers what org.freedesktop.login1(5) does not say."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
import pytest

from guestmux_eventd import login_manager
from guestmux_eventd.login_manager import (
    LOGIN_NAME,
    LOGIN_PATH,
    MANAGER_INTERFACE,
    SESSION_INTERFACE,
    LoginManager,
    UnexpectedAnswer,
)
from guestmux_eventd.login_source import LoginSource
from guestmux_eventd.power_source import PowerSource
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_protocol.events import SessionActive
from guestmux_protocol.registry import Data
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_exports import Handler, IncomingCall, Interface, Property, Results
from guestmux_transport.names import PROPERTIES_INTERFACE
from guestmux_transport.values import Variant
from tests.support.dbus_daemon import PrivateBus

pytestmark = pytest.mark.anyio


def as_given(value: Any) -> Any:
    return value


class FaultyLogind:
    """As much of logind as the test at hand needs.

    Attributes:
        sessions: the ids that it lists, whether there is an object or not.
        hangs: whether the next ListSessions is never answered.
        asked: how often an inhibitor was asked for.
        inhibit: set while Inhibit is answered.
        ends: our ends of the inhibitors handed out.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.sessions: list[str] = []
        self.hangs = False
        self.inhibit = anyio.Event()
        self.asked = 0
        self.ends: list[int] = []
        methods: dict[str, tuple[str, str, Handler]] = {
            "ListSessions": ("", "a(susso)", self._list),
            "ListSeats": ("", "a(so)", lambda _call: ([],)),
            "GetSession": ("s", "o", lambda _call: (self.path(self.sessions[0]),)),
            "Inhibit": ("ssss", "h", self._inhibit),
        }
        bus.export(LOGIN_PATH, Interface(MANAGER_INTERFACE, methods=methods))

    @staticmethod
    def path(session: str) -> str:
        return f"/org/freedesktop/login1/session/{session}"

    def add(self, session: str, **properties: tuple[str, Any]) -> None:
        known = {"Id": ("s", session), "Name": ("s", "alice"), "User": ("(uo)", (1000, "/u")), **properties}
        described = {name: Property(kind, partial(as_given, value)) for name, (kind, value) in known.items()}
        self.bus.export(self.path(session), Interface(SESSION_INTERFACE, properties=described))
        self.sessions.append(session)

    def changed(self, session: str, **properties: Variant) -> None:
        body = [SESSION_INTERFACE, properties, []]
        self.bus.emit(self.path(session), PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body)

    def signal(self, member: str, signature: str, *body: Any) -> None:
        self.bus.emit(LOGIN_PATH, MANAGER_INTERFACE, member, signature, body)

    def held(self) -> int:
        """How many inhibitors are held."""
        for end in tuple(self.ends):
            try:
                if os.read(end, 1) == b"":
                    self.ends.remove(end)
                    os.close(end)
            except BlockingIOError:
                continue
        return len(self.ends)

    async def _list(self, _call: IncomingCall) -> Results:
        if self.hangs:
            self.hangs = False
            await anyio.sleep_forever()
        return ([(session, 1000, "alice", "", self.path(session)) for session in self.sessions],)

    async def _inhibit(self, call: IncomingCall) -> Results:
        self.asked += 1
        await self.inhibit.wait()
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ends.append(ours)
        call.reply_fds.append(theirs)
        return (0,)


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[FaultyLogind]:
    async with connect_bus(bus.address) as connection:
        logind = FaultyLogind(connection)
        await connection.request_name(LOGIN_NAME)
        yield logind
        for end in logind.ends:
            os.close(end)


@pytest.fixture
async def client(bus: PrivateBus) -> AsyncIterator[Bus]:
    async with connect_bus(bus.address) as client:
        yield client


async def settled(client: Bus) -> None:
    """Everything that logind sent before was handed on: the bus keeps the order."""
    await client.call(LOGIN_NAME, "/", "org.freedesktop.DBus.Peer", "Ping")
    await anyio.wait_all_tasks_blocked()


async def test_a_session_that_ends_while_it_is_read_hides_no_other(client: Bus, logind: FaultyLogind) -> None:
    logind.sessions.append("gone")
    logind.add("c2")
    sessions = SessionTable()
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, sessions, lambda _emissions: None).start(tasks)
        assert sessions.ids() == ["c2"]
        tasks.cancel_scope.cancel()


async def test_a_logind_that_hangs_is_asked_again(
    client: Bus, logind: FaultyLogind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_manager, "CALL_TIMEOUT", 0.05)
    logind.add("c2")
    logind.hangs = True
    sessions = SessionTable()
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, sessions, lambda _emissions: None).start(tasks)
        while not sessions.ids():
            await anyio.lowlevel.checkpoint()
        assert sessions.ids() == ["c2"]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "wrong",
    [
        {"User": ("s", "alice")},
        {"User": ("(so)", ("1000", "/u"))},
        {"Timestamp": ("s", "today")},
        {"Remote": ("s", "no")},
        {"Name": ("ay", b"alice")},
    ],
)
async def test_a_session_of_wrong_types_is_left_out(
    client: Bus, logind: FaultyLogind, wrong: dict[str, tuple[str, Any]]
) -> None:
    logind.add("c1", **wrong)
    logind.add("c2")
    sessions = SessionTable()
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, sessions, lambda _emissions: None).start(tasks)
        assert sessions.ids() == ["c2"]
        tasks.cancel_scope.cancel()


async def test_a_session_without_an_id_is_no_session(client: Bus, logind: FaultyLogind) -> None:
    bare = Interface(SESSION_INTERFACE, properties={"Remote": Property("b", lambda: True)})
    logind.bus.export(logind.path("c1"), bare)
    with pytest.raises(UnexpectedAnswer, match="session"):
        await LoginManager(client).session(logind.path("c1"))


async def test_changes_of_wrong_types_change_nothing(client: Bus, logind: FaultyLogind) -> None:
    logind.add("c2")
    sessions = SessionTable()
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, sessions, lambda _emissions: None).start(tasks)
        logind.changed("c2", User=Variant("u", 1), Timestamp=Variant("s", ""))
        logind.changed("c2", LockedHint=Variant("b", True))
        await settled(client)
        (session,) = sessions
        assert (session.uid, session.locked) == (1000, True)
        tasks.cancel_scope.cancel()


async def test_a_session_is_known_by_its_own_id_only(client: Bus, logind: FaultyLogind) -> None:
    # As logind takes "self" and "auto" for sessions of whoever asks.
    logind.add("c2")
    sessions = SessionTable()
    async with anyio.create_task_group() as tasks:
        source = LoginSource(client, sessions, lambda _emissions: None)
        await source.start(tasks)
        assert await source.known("self") is None
        logind.changed("c2", LockedHint=Variant("b", True))
        await settled(client)
        (session,) = sessions
        assert session.locked
        tasks.cancel_scope.cancel()


async def test_a_session_that_begins_while_the_list_is_read_loses_no_change(
    client: Bus, logind: FaultyLogind, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Emission] = []
    list_sessions, list_seats = LoginManager.sessions, LoginManager.seats

    async def sessions(manager: LoginManager) -> dict[str, str]:
        listed = await list_sessions(manager)
        logind.add("c9")
        logind.signal("SessionNew", "so", "c9", logind.path("c9"))
        await settled(client)
        return listed

    async def seats(manager: LoginManager) -> dict[str, str]:
        for locked in (True, False):
            logind.changed("c9", LockedHint=Variant("b", locked))
        await settled(client)
        return await list_seats(manager)

    monkeypatch.setattr(LoginManager, "sessions", sessions)
    monkeypatch.setattr(LoginManager, "seats", seats)
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, SessionTable(), told.extend).start(tasks)
        await settled(client)
        await settled(client)
        assert [name for name, _data in told] == ["SESSION_LOGIN", "SESSION_LOCK", "SESSION_UNLOCK"]
        tasks.cancel_scope.cancel()


async def test_changes_that_wait_while_a_session_is_read_twice_are_told_once(
    client: Bus, logind: FaultyLogind
) -> None:
    told: list[Emission] = []
    states = iter([True, False])

    def locked() -> bool:
        """It changes right before it is read."""
        state = next(states)
        logind.changed("c1", LockedHint=Variant("b", state))
        return state

    logind.add("c1", LockedHint=("b", False))
    async with anyio.create_task_group() as tasks:
        source = LoginSource(client, SessionTable(), told.extend)
        await source.start(tasks)
        logind.bus.unexport(logind.path("c1"))
        properties = {"Id": "s", "Name": "s", "User": "(uo)"}
        known: dict[str, Any] = {"Id": "c1", "Name": "alice", "User": (1000, "/u")}
        described = {
            name: Property(kind, partial(as_given, known[name])) for name, kind in properties.items()
        }
        described["LockedHint"] = Property("b", locked)
        logind.bus.export(logind.path("c1"), Interface(SESSION_INTERFACE, properties=described))
        for _ in range(2):
            source._enqueue(source.read_all)
        while len(told) < 3:
            await settled(client)
        await settled(client)
        assert [name for name, _data in told] == ["SESSION_LOGIN", "SESSION_LOCK", "SESSION_UNLOCK"]
        tasks.cancel_scope.cancel()


async def test_a_seat_shows_a_session_that_begins_while_seats_are_read(
    client: Bus, logind: FaultyLogind, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Emission] = []

    async def seats(_manager: LoginManager) -> dict[str, str]:
        logind.add("c9")
        return {"seat0": "/seat0"}

    async def foreground(_manager: LoginManager, _path: str) -> tuple[str, Reply]:
        return "c9", Reply("v", [], [])

    monkeypatch.setattr(LoginManager, "seats", seats)
    monkeypatch.setattr(LoginManager, "foreground", foreground)
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, SessionTable(), told.extend).start(tasks)
        assert [name for name, _data in told] == ["SESSION_LOGIN", "SESSION_ACTIVE"]
        assert isinstance(shown := told[-1][1], SessionActive)
        assert shown.session == "c9"
        tasks.cancel_scope.cancel()


async def test_a_lock_that_was_confirmed_and_taken_back_is_not_told_again(
    client: Bus, logind: FaultyLogind
) -> None:
    told: list[Emission] = []
    patience = anyio.Event()
    logind.add("c2")

    async def sleep(_seconds: float) -> None:
        await patience.wait()

    async with anyio.create_task_group() as tasks:
        await LoginSource(client, SessionTable(), told.extend, sleep).start(tasks)
        logind.bus.emit(logind.path("c2"), SESSION_INTERFACE, "Lock", "", [])
        await settled(client)
        for locked in (True, False):
            logind.changed("c2", LockedHint=Variant("b", locked))
        await settled(client)
        patience.set()
        await settled(client)
        assert [name for name, _data in told] == ["SESSION_LOGIN", "SESSION_LOCK", "SESSION_UNLOCK"]
        tasks.cancel_scope.cancel()


async def test_a_signal_after_the_end_is_no_fault(
    client: Bus, logind: FaultyLogind, caplog: pytest.LogCaptureFixture
) -> None:
    logind.add("c2")
    async with anyio.create_task_group() as tasks:
        await LoginSource(client, SessionTable(), lambda _emissions: None).start(tasks)
        tasks.cancel_scope.cancel()
    logind.changed("c2", LockedHint=Variant("b", True))
    await settled(client)
    assert caplog.text == ""


# ---- inhibitors


async def announce(_name: str, _data: Data) -> None:
    """Every host has it at once."""


async def test_a_resume_while_the_inhibitor_is_taken_leaves_one(client: Bus, logind: FaultyLogind) -> None:
    power = PowerSource(client, announce)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(power.start, tasks)
        while not logind.asked:
            await anyio.lowlevel.checkpoint()
        logind.signal("PrepareForShutdown", "b", False)
        await settled(client)
        logind.inhibit.set()
        while logind.held() < 2:
            await anyio.lowlevel.checkpoint()
        await settled(client)
        assert logind.held() == 2
        power.close()
        assert logind.held() == 0
        tasks.cancel_scope.cancel()


async def test_a_sleep_that_fails_while_hosts_are_told_ends_with_the_inhibitor_held(
    client: Bus, logind: FaultyLogind
) -> None:
    told = anyio.Event()

    async def slowly(name: str, _data: Data) -> None:
        if name == "POWER_SLEEP":
            await told.wait()

    logind.inhibit.set()
    power = PowerSource(client, slowly)
    async with anyio.create_task_group() as tasks:
        await power.start(tasks)
        logind.signal("PrepareForSleep", "b", True)
        logind.signal("PrepareForSleep", "b", False)
        await settled(client)
        told.set()
        while logind.asked < 3:
            await anyio.lowlevel.checkpoint()
        await settled(client)
        assert logind.held() == 2
        power.close()
        tasks.cancel_scope.cancel()


async def test_what_follows_a_sleep_is_emitted_while_hosts_are_still_told_of_it(
    client: Bus, logind: FaultyLogind
) -> None:
    emitted: list[str] = []

    async def never_heard(name: str, _data: Data) -> None:
        emitted.append(name)
        await anyio.sleep_forever()

    logind.inhibit.set()
    power = PowerSource(client, never_heard)
    async with anyio.create_task_group() as tasks:
        await power.start(tasks)
        for begins in (True, False, True):
            logind.signal("PrepareForSleep", "b", begins)
        await settled(client)
        assert emitted == ["POWER_SLEEP", "POWER_RESUME", "POWER_SLEEP"]
        power.close()
        tasks.cancel_scope.cancel()


async def test_inhibitors_are_taken_of_a_logind_that_comes_later(client: Bus, logind: FaultyLogind) -> None:
    logind.inhibit.set()
    await logind.bus.release_name(LOGIN_NAME)
    power = PowerSource(client, announce)
    async with anyio.create_task_group() as tasks:
        await power.start(tasks)
        await logind.bus.request_name(LOGIN_NAME)
        while logind.held() < 2:
            await anyio.lowlevel.checkpoint()
        power.close()
        tasks.cancel_scope.cancel()


async def test_an_inhibitor_without_a_descriptor_is_none(client: Bus, logind: FaultyLogind) -> None:
    logind.bus.export(
        LOGIN_PATH, Interface(MANAGER_INTERFACE, methods={"Inhibit": ("ssss", "u", lambda _call: (0,))})
    )
    power = PowerSource(client, announce)
    async with anyio.create_task_group() as tasks:
        await power.start(tasks)
        assert repr(power) == "<PowerSource holding nothing>"
        tasks.cancel_scope.cancel()


async def test_an_end_while_logind_hangs_leaves_nothing_open(client: Bus, logind: FaultyLogind) -> None:
    """Python complains of a stream that was never closed, and warnings are errors."""
    logind.hangs = True
    source = LoginSource(client, SessionTable(), lambda _emissions: None)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.start, tasks)
            while logind.hangs:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    source.close()
    del source
    gc.collect()
