"""A logind that outlives its bus, as the real one does, and keeps a ledger of what it did."""

from __future__ import annotations

import time

import anyio

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.effects import Effect
from guestmux.demo.standin_logind.manager import manager_interface
from guestmux.demo.standin_logind.server import LoginServer, login_server, new_logins
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.errors import BusError
from tests.chaos.ledger import Change, Ledger

RETRY = 0.05
"""Seconds between attempts to reach the bus."""

DELAY_MAX_USEC = 300_000
"""Microseconds that a sleep waits for eventd: much shorter than real, since it is often dead."""


class Logind:
    """Who is logged in.

    Args:
        address: the bus's.
        ledger: takes down what happens.
    """

    def __init__(self, address: str, ledger: Ledger) -> None:
        self.ledger = ledger
        self._address = address
        self._logins = new_logins()
        self._server: LoginServer | None = None
        self._again = anyio.Event()

    @property
    def sessions(self) -> list[str]:
        """Those that there are."""
        return list(self._logins.sessions)

    @property
    def on_seat(self) -> list[str]:
        """Those at the machine itself."""
        return [session.id for session in self._logins.sessions_of_seat("seat0")]

    async def run(self) -> None:
        """Serve, whenever there is a bus."""
        while True:
            try:
                async with connect_bus(self._address) as bus:
                    await self._serve(bus)
            except* BusError:
                pass
            await anyio.sleep(RETRY)

    async def _serve(self, bus: Bus) -> None:
        async with login_server(bus, delay_max_usec=DELAY_MAX_USEC, logins=self._logins) as server:
            bus.export(names.MANAGER_PATH, manager_interface(server))
            self._server, self._again = server, anyio.Event()
            try:
                await bus.request_name(names.LOGIN1)
                self.ledger.broke()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._until_restart, tasks.cancel_scope)
                    await bus.wait_lost()
                    tasks.cancel_scope.cancel()
            finally:
                self._server = None
                self.ledger.broke()

    async def _until_restart(self, scope: anyio.CancelScope) -> None:
        await self._again.wait()
        scope.cancel()

    def restart(self) -> None:
        """Leave the bus and come back, with all sessions."""
        self.ledger.broke()
        self._again.set()

    def login(self, user: str, uid: int, *, seat: str = "seat0") -> str:
        """Begin a session; one on a seat comes to its foreground."""
        options = {"seat": seat, "remote": not seat}
        session, effects = self._logins.login(user, uid, options, activate=bool(seat))
        self.ledger.note((session.id, "alive"), True, user)
        self._note_seat()
        if self._server is not None:
            self._server._export_session(session)
            self._server._export_seats()
        self._tell(effects)
        return session.id

    def logout(self, session: str) -> None:
        """End a session."""
        uid = self._logins.session(session).uid
        effects = self._logins.remove(session)
        self.ledger.end(session)
        self._note_seat()
        self._tell(effects)
        if self._server is not None:
            self._server._bus.unexport(names.session_path(session))
        if self._logins.forget_user(uid) and self._server is not None:
            self._server._bus.unexport(names.user_path(uid))

    def lock(self, session: str, *, locked: bool, asked: bool = False) -> None:
        """A session's screen is locked or unlocked: by its user, or because logind was asked to."""
        self.ledger.note((session, "locked"), locked)
        if asked:
            self._tell(self._logins.ask_to_lock(session, lock=locked))
        else:
            self._tell(self._logins.set_locked(session, locked=locked))

    def idle(self, session: str, *, idle: bool) -> None:
        """A session's user went, or came back."""
        self.ledger.note((session, "idle"), idle)
        self._tell(self._logins.set_idle(session, idle=idle))

    def show(self, session: str) -> None:
        """Bring a session of the seat to the foreground."""
        effects = self._logins.set_active("seat0", session)
        self._note_seat()
        self._tell(effects)

    async def sleep(self) -> None:
        """The machine sleeps and wakes up."""
        if (server := self._server) is not None:
            self._note_power("awake", False)
            await self._announce(server, "sleep")
            self._note_power("awake", True)
            self._end_announced(server)

    async def shut_down(self) -> None:
        """The machine is to shut down, and that is called off: of which hosts are not told."""
        if (server := self._server) is not None:
            self._note_power("on", False)
            await self._announce(server, "shutdown")
            self._end_announced(server)

    def _note_power(self, what: str, value: bool) -> None:
        # Not its state, but that it was told: a sleep that nobody was told of changes nothing.
        self.ledger.changes.append(Change(time.time(), ("power", what), value))

    async def _announce(self, server: LoginServer, what: str) -> None:
        try:
            await server.inhibitors.announce(what)
        except BusError:
            self.ledger.broke()

    def _end_announced(self, server: LoginServer) -> None:
        try:
            server.inhibitors.end()
        except BusError:
            self.ledger.broke()

    def _note_seat(self) -> None:
        active = self._logins.seats["seat0"].active
        self.ledger.note(("seat0", "foreground"), active.id if active else "")

    def _tell(self, effects: list[Effect]) -> None:
        if self._server is None:
            return
        try:
            self._server.perform(effects)
        except BusError:
            self.ledger.broke()
