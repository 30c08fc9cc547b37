"""The stand-in on the bus: performs what the tables decide, and keeps the exported objects in step with them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.authority import Authority
from guestmux.demo.standin_logind.effects import Changed, Effect, Signal
from guestmux.demo.standin_logind.inhibitors import Inhibitors
from guestmux.demo.standin_logind.logins import Logins
from guestmux.demo.standin_logind.objects import LoginObjects
from guestmux.demo.standin_logind.processes import SessionProcesses
from guestmux.demo.standin_logind.records import Moment, Session
from guestmux_transport.bus import Bus


class LoginServer:
    """What the stand-in's objects share.

    Attributes:
        logins: who is logged in.
        processes: which process is in which session.
        inhibitors: who delays shutdown and sleep.
        authority: who may do what.
    """

    def __init__(
        self, bus: Bus, tasks: TaskGroup, *, delay_max_usec: int, logins: Logins | None = None
    ) -> None:
        """Begin with nobody logged in, or with those whom an earlier server left, as logind does after a restart.

        Args:
            bus: where to serve.
            tasks: runs what goes on after its call was answered.
            delay_max_usec: microseconds that shutdown and sleep wait for delay inhibitors.
            logins: who is logged in.
        """
        self._bus = bus
        self._tasks = tasks
        self.logins = logins or new_logins()
        self.processes = SessionProcesses()
        self.inhibitors = Inhibitors(self.perform, delay_max_usec)
        self.authority = Authority(bus)
        self._objects = LoginObjects(self.logins, self.authority, self.perform, self.begin_end)
        self._export_seats()
        for session in self.logins.sessions.values():
            self._export_session(session)

    def perform(self, effects: list[Effect]) -> None:
        """Tell the bus what changed.

        Raises:
            BusError: the bus is gone, or does not read.
        """
        for effect in effects:
            match effect:
                case Signal(path, interface, member, signature, body):
                    self._bus.emit(path, interface, member, signature, body)
                case Changed(path, interface, properties):
                    self._bus.properties_changed(path, interface, *properties)

    def login(self, user: str, uid: int, options: Mapping[str, Any]) -> str:
        """Begin a session; returns its id.

        Args:
            user: the user's name.
            uid: his number.
            options: see `LOGIN_OPTIONS`; besides `id`, and `activate`: whether it comes to the foreground.

        Raises:
            MethodError: an option does not fit.
        """
        rest = dict(options)
        wanted, activate = rest.pop("id", ""), rest.pop("activate", True)
        session, effects = self.logins.login(user, uid, rest, session=wanted, activate=activate)
        self._export_session(session)
        self._export_seats()
        self.perform(effects)
        return session.id

    async def end_session(self, session: str) -> None:
        """End a session: first its processes, then itself, as systemd stops its scope.

        Raises:
            MethodError: there is no such session.
        """
        record = self.logins.session(session)
        if record.closing:
            return
        record.closing = True
        await self.processes.end(session)
        self.perform(self.logins.remove(session))
        self._bus.unexport(names.session_path(session))
        if self.logins.forget_user(record.uid):
            self._bus.unexport(names.user_path(record.uid))

    def begin_end(self, session: str) -> None:
        """Begin to end a session, as Terminate does: it is answered before the session is gone.

        Raises:
            MethodError: there is no such session.
        """
        self._tasks.start_soon(self.end_session, self.logins.session(session).id)

    def close(self) -> None:
        """Let go of inhibitors and processes."""
        self.inhibitors.close()
        self.processes.close()

    def _export_session(self, session: Session) -> None:
        self._bus.export(names.session_path(session.id), self._objects.session(session))
        self._bus.export(names.user_path(session.uid), self._objects.user(self.logins.user(session.uid)))

    def _export_seats(self) -> None:
        for seat in self.logins.seats.values():
            self._bus.export(names.seat_path(seat.id), self._objects.seat(seat))


@asynccontextmanager
async def login_server(
    bus: Bus, *, delay_max_usec: int, logins: Logins | None = None
) -> AsyncIterator[LoginServer]:
    """Run a server for as long as the block lasts; `logins` outlive it."""
    async with anyio.create_task_group() as tasks:
        server = LoginServer(bus, tasks, delay_max_usec=delay_max_usec, logins=logins)
        try:
            yield server
        finally:
            server.close()
            tasks.cancel_scope.cancel()


def new_logins() -> Logins:
    """Nobody is logged in."""
    return Logins(_now)


def _now() -> Moment:
    return Moment(time.time_ns() // 1000, time.monotonic_ns() // 1000)
