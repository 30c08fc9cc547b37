"""The Manager object of org.freedesktop.login1(5), systemd 252: the subset that guestmux and loginctl's lists use."""

from __future__ import annotations

from typing import Any

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.inhibitors import SHUTDOWN, SLEEP
from guestmux.demo.standin_logind.objects import idle_properties
from guestmux.demo.standin_logind.server import LoginServer
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.errors import MethodError


def manager_interface(server: LoginServer) -> Interface:
    """The interface to export at /org/freedesktop/login1."""
    methods = _ManagerMethods(server)
    return Interface(
        names.MANAGER,
        methods=methods.table(),
        properties=_properties(server),
        signals={
            "SessionNew": "so",
            "SessionRemoved": "so",
            "UserNew": "uo",
            "UserRemoved": "uo",
            "PrepareForShutdown": "b",
            "PrepareForSleep": "b",
        },
    )


def _properties(server: LoginServer) -> dict[str, Property]:
    inhibitors = server.inhibitors
    return {
        "BlockInhibited": Property("s", lambda: inhibitors.inhibited("block")),
        "DelayInhibited": Property("s", lambda: inhibitors.inhibited("delay")),
        "InhibitDelayMaxUSec": Property("t", lambda: inhibitors.delay_max_usec),
        "PreparingForShutdown": Property("b", lambda: inhibitors.preparing == SHUTDOWN),
        "PreparingForSleep": Property("b", lambda: inhibitors.preparing == SLEEP),
        "NCurrentSessions": Property("t", lambda: len(server.logins.sessions)),
        "NCurrentInhibitors": Property("t", lambda: len(list(inhibitors))),
        **idle_properties(server.logins),
    }


class _ManagerMethods:
    def __init__(self, server: LoginServer) -> None:
        self._server = server
        self._logins = server.logins

    def table(self) -> dict[str, Any]:
        return {
            "ListSessions": ("", "a(susso)", self._list_sessions),
            "ListUsers": ("", "a(uso)", self._list_users),
            "ListSeats": ("", "a(so)", self._list_seats),
            "ListInhibitors": ("", "a(ssssuu)", self._list_inhibitors),
            "GetSession": ("s", "o", self._get_session),
            "GetSessionByPID": ("u", "o", self._get_session_by_pid),
            "GetUser": ("u", "o", self._get_user),
            "GetSeat": ("s", "o", self._get_seat),
            "LockSession": ("s", "", self._lock),
            "UnlockSession": ("s", "", self._lock),
            "LockSessions": ("", "", self._lock_all),
            "UnlockSessions": ("", "", self._lock_all),
            "ActivateSession": ("s", "", self._activate),
            "TerminateSession": ("s", "", self._terminate),
            "Inhibit": ("ssss", "h", self._inhibit),
        }

    def _list_sessions(self, _call: IncomingCall) -> Results:
        rows = [
            (each.id, each.uid, each.user, each.seat, names.session_path(each.id))
            for each in self._logins.sessions.values()
        ]
        return (rows,)

    def _list_users(self, _call: IncomingCall) -> Results:
        return ([(each.uid, each.name, names.user_path(each.uid)) for each in self._logins.users.values()],)

    def _list_seats(self, _call: IncomingCall) -> Results:
        return ([(seat, names.seat_path(seat)) for seat in self._logins.seats],)

    def _list_inhibitors(self, _call: IncomingCall) -> Results:
        rows = [
            (each.what, each.who, each.why, each.mode, each.uid, each.pid) for each in self._server.inhibitors
        ]
        return (rows,)

    def _get_session(self, call: IncomingCall) -> Results:
        return (names.session_path(self._logins.session(call.body[0]).id),)

    async def _get_session_by_pid(self, call: IncomingCall) -> Results:
        pid = call.body[0] or (await self._server.authority.caller(call)).pid
        session = self._server.processes.session_of(pid)
        if session is None:
            text = f"PID {pid} does not belong to any known session"
            raise MethodError(names.NO_SESSION_FOR_PID, text)
        return (names.session_path(session),)

    def _get_user(self, call: IncomingCall) -> Results:
        return (names.user_path(self._logins.user(call.body[0]).uid),)

    def _get_seat(self, call: IncomingCall) -> Results:
        return (names.seat_path(self._logins.seat(call.body[0]).id),)

    async def _lock(self, call: IncomingCall) -> None:
        session = self._logins.session(call.body[0])
        await self._server.authority.check(call, session.uid)
        self._server.perform(self._logins.ask_to_lock(session.id, lock=call.member == "LockSession"))

    async def _lock_all(self, call: IncomingCall) -> None:
        await self._server.authority.check(call)
        for session in tuple(self._logins.sessions):
            self._server.perform(self._logins.ask_to_lock(session, lock=call.member == "LockSessions"))

    async def _activate(self, call: IncomingCall) -> None:
        session = self._logins.session(call.body[0])
        await self._server.authority.check(call, session.uid)
        self._server.perform(self._logins.set_active(session.seat, session.id))

    async def _terminate(self, call: IncomingCall) -> None:
        session = self._logins.session(call.body[0])
        await self._server.authority.check(call, session.uid)
        self._server.begin_end(session.id)

    async def _inhibit(self, call: IncomingCall) -> Results:
        caller = await self._server.authority.caller(call)
        what, who, why, mode = call.body
        fd = self._server.inhibitors.take(what, who, why, mode, uid=caller.uid, pid=caller.pid)
        call.reply_fds.append(fd)
        return (0,)
