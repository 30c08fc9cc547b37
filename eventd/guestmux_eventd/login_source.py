"""Sessions and their changes, from logind's signals (org.freedesktop.login1(5))."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from guestmux_eventd.login_manager import (
    LOGIN_NAME,
    MANAGER_INTERFACE,
    SEAT_INTERFACE,
    SESSION_INTERFACE,
    SESSION_PROPERTIES,
    LoginManager,
    UnexpectedAnswer,
    session_members,
    value_of,
)
from guestmux_eventd.session_changes import SessionChanges
from guestmux_eventd.session_table import Emission, SessionTable
from guestmux_protocol.sessions import Session
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError, BusLost, CallError, CallTimeout
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

LOCKER_PATIENCE = 2.0
"""Seconds that a screen locker has to confirm a lock before it is told as unconfirmed."""

MAX_SIGNALS = 4096
"""Signals that wait to be worked off. Beyond it sessions are read anew: only states in between are lost."""

Publish = Callable[[list[Emission]], object]
Job = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


class LoginSource:
    """Follows logind on one bus connection and keeps the session table true.

    Args:
        bus: the system bus.
        sessions: the table.
        publish: takes the events.
        sleep: waits a number of seconds; tests pass their own.
    """

    def __init__(
        self,
        bus: Bus,
        sessions: SessionTable,
        publish: Publish,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._bus = bus
        self._logins = LoginManager(bus)
        self._sessions = sessions
        self._publish = publish
        self._sleep = sleep
        self._stale = False
        self._unconfirmed: dict[str, anyio.CancelScope] = {}
        self._changes = SessionChanges()
        self._paths: dict[str, str] = {}
        self._seats: dict[str, str] = {}
        self._send, self._jobs = anyio.create_memory_object_stream[Job](MAX_SIGNALS)

    async def start(self, tasks: TaskGroup) -> None:
        """Read the sessions, then follow their changes in `tasks`.

        Raises:
            BusError: the bus was lost meanwhile. A logind that does not answer is waited for.
        """
        self._tasks = tasks
        await self._subscribe()
        await self._bus.add_signal_handler(
            sender=DBUS_NAME, interface=DBUS_INTERFACE, member="NameOwnerChanged", handler=self._owner_changed
        )
        await self._attempt(self.read_all)
        tasks.start_soon(self._follow)

    def close(self) -> None:
        """Take no signals any more, also where `start` has not come to its end."""
        self._send.close()
        self._jobs.close()

    async def _follow(self) -> None:
        async with self._send, self._jobs:
            await self._catch_up()
            async for job in self._jobs:
                await self._attempt(job)
                await self._catch_up()

    async def _catch_up(self) -> None:
        while self._stale:
            self._stale = False
            await self._attempt(self.read_all)

    async def session_of_process(self, pid: int) -> str:
        """The session that a process runs in; empty for none."""
        return await self._logins.session_of_process(pid)

    async def display_of_user(self, uid: int) -> str:
        """The user's primary session; empty for none."""
        return await self._logins.display_of_user(uid)

    async def known(self, session_id: str) -> Session | None:
        """The session, also when its beginning was not worked off yet."""
        if session_id not in self._sessions and (path := await self._logins.session_path(session_id)):
            await self._read_session(path)
        return self._sessions.get(session_id)

    async def read_all(self) -> None:
        """Read every session and seat; tell the differences to what was known as events."""
        before = set(self._paths)
        paths = await self._logins.sessions()
        # One that began after logind wrote the list was signalled before we read it.
        for gone in before.difference(paths.values()):
            self._paths.pop(gone, None)
            self._changes.forget(gone)
        self._paths.update((path, session_id) for session_id, path in paths.items())
        self._publish(self._sessions.keep_only(set(paths)))
        for path in paths.values():
            await self._unless_gone(self._read_session(path))
        seats = await self._logins.seats()
        self._seats.update((path, seat) for seat, path in seats.items())
        for seat, path in seats.items():
            await self._unless_gone(self._read_seat(seat, path))

    async def _subscribe(self) -> None:
        handlers: list[tuple[str, str | None, Callable[[Signal], None]]] = [
            (MANAGER_INTERFACE, "SessionNew", self._session_new),
            (MANAGER_INTERFACE, "SessionRemoved", self._session_removed),
            (MANAGER_INTERFACE, "SeatNew", self._seat_new),
            (SESSION_INTERFACE, "Lock", self._lock_asked),
            (SESSION_INTERFACE, "Unlock", self._unlock_asked),
            (PROPERTIES_INTERFACE, "PropertiesChanged", self._properties_changed),
        ]
        for interface, member, handler in handlers:
            await self._bus.add_signal_handler(
                sender=LOGIN_NAME, interface=interface, member=member, handler=handler
            )

    async def _attempt(self, job: Job) -> None:
        try:
            await self._unless_gone(job())
        except BusLost:
            raise
        except CallTimeout as error:
            # No signal need come that brings what was not learned.
            self._stale = True
            logger.warning("logind: %s", error)
        except BusError as error:
            logger.warning("logind: %s", error)

    async def _unless_gone(self, reading: Awaitable[object]) -> None:
        """Read what may be gone by now: its end was signalled, as will be the coming of a logind that is away."""
        try:
            await reading
        except (CallError, UnexpectedAnswer) as error:
            logger.info("logind: %s", error)

    def _enqueue(self, job: Job) -> bool:
        """Have something done in its turn; False: it will not be."""
        try:
            self._send.send_nowait(job)
            return True
        except anyio.WouldBlock:
            logger.warning("logind sends faster than sessions can be read; some states are skipped")
            self._stale = True
        except anyio.ClosedResourceError:
            # The last of what was received on a bus that is lost; everything is read anew on the next.
            logger.debug("logind: a signal after the end")
        return False

    def _session_new(self, signal: Signal) -> None:
        session_id, path = signal.body
        self._paths[path] = session_id
        self._enqueue(lambda: self._read_session(path))

    def _session_removed(self, signal: Signal) -> None:
        session_id, path = signal.body

        async def remove() -> None:
            self._paths.pop(path, None)
            self._changes.forget(path)
            self._publish(self._sessions.remove(session_id))

        self._enqueue(remove)

    def _seat_new(self, signal: Signal) -> None:
        seat, path = signal.body
        self._seats[path] = seat

    def _properties_changed(self, signal: Signal) -> None:
        interface, changed, _invalidated = signal.body
        if interface == SESSION_INTERFACE and signal.path in self._paths:
            self._session_changed(self._paths[signal.path], signal, changed)
        elif interface == SEAT_INTERFACE and "ActiveSession" in changed:
            self._seat_changed(signal)

    def _session_changed(self, session_id: str, signal: Signal, changed: dict[str, Variant]) -> None:
        locked = changed.get("LockedHint")
        if locked is not None and locked.value is True and session_id in self._unconfirmed:
            self._unconfirmed[session_id].cancel()
        path = signal.path

        async def change() -> None:
            if not self._work_off(self._changes.upto(path, place)):
                await self._read_session(path)

        if self._enqueue(change):
            place = self._changes.put(signal)

    def _work_off(self, signals: list[Signal]) -> bool:
        """Take changes over; returns whether they say all that there is to know."""
        says_all = True
        for signal in signals:
            _interface, changed, invalidated = signal.body
            says_all = says_all and SESSION_PROPERTIES.keys().isdisjoint(invalidated)
            session_id = self._paths.get(signal.path, "")
            try:
                self._publish(self._sessions.change(session_id, session_members(changed)))
            except UnexpectedAnswer as error:
                logger.info("logind: %s", error)
        return says_all

    def _seat_changed(self, signal: Signal) -> None:
        path = signal.path

        async def change() -> None:
            await self._show_next(self._changes.upto(path, place))

        if self._enqueue(change):
            place = self._changes.put(signal)

    async def _show_next(self, signals: list[Signal]) -> None:
        for signal in signals:
            seat = self._seats.get(signal.path) or signal.path.rpartition("/")[2]
            session_id, _path = value_of("ActiveSession", signal.body[1]["ActiveSession"], "(so)")
            await self._show(seat, session_id)

    def _lock_asked(self, signal: Signal) -> None:
        session_id = self._paths.get(signal.path, "")
        if session_id in self._sessions and session_id not in self._unconfirmed:
            self._unconfirmed[session_id] = anyio.CancelScope()
            self._tasks.start_soon(self._wait_for_locker, session_id)

    async def _wait_for_locker(self, session_id: str) -> None:
        with self._unconfirmed[session_id] as scope:
            await self._sleep(LOCKER_PATIENCE)
        del self._unconfirmed[session_id]
        if not scope.cancelled_caught:
            self._publish(self._sessions.lock_unconfirmed(session_id))

    def _unlock_asked(self, signal: Signal) -> None:
        session_id = self._paths.get(signal.path, "")
        if session_id in self._unconfirmed:
            self._unconfirmed[session_id].cancel()

        async def tell() -> None:
            self._publish(self._sessions.unlock_requested(session_id))

        self._enqueue(tell)

    def _owner_changed(self, signal: Signal) -> None:
        name, _old, new = signal.body
        if name == LOGIN_NAME and new:
            self._changes.logind_is(new)
            self._enqueue(self.read_all)

    async def _read_session(self, path: str) -> None:
        session, reply = await self._logins.read_session(path)
        self._paths[path] = session.session
        if session.session in self._sessions:
            self._work_off(self._changes.known_to(path, reply))
        self._publish(self._sessions.add(session))

    async def _read_seat(self, seat: str, path: str) -> None:
        shown, reply = await self._logins.foreground(path)
        await self._show_next(self._changes.known_to(path, reply))
        await self._show(seat, shown)

    async def _show(self, seat: str, session_id: str) -> None:
        """Take in which session a seat shows, and before that the session, if its beginning was not worked off yet."""
        if session_id:
            await self._unless_gone(self.known(session_id))
        self._publish(self._sessions.set_foreground(seat, session_id))
