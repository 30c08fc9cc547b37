"""`org.guestmux.StandinLogind1`: how a demo or test says who logs in, locks and shuts down."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.inhibitors import SHUTDOWN, SLEEP
from guestmux.demo.standin_logind.server import LoginServer
from guestmux_transport.bus_exports import Handler, IncomingCall, Interface, Property, Results
from guestmux_transport.errors import MethodError

WHAT_IT_IS: Final = "a stand-in for systemd-logind, for demos and tests: it manages no real session"


def control_interface(server: LoginServer) -> Interface:
    """The interface to export at /org/guestmux/StandinLogind1; only root and the stand-in's own user may call it.

    Login(user, uid, options) gives the session's id. AddProcess(session, pid, ends) puts a process, and with it
    its children, into a session; `ends`: it gets SIGTERM when the session ends. Shutdown and Suspend announce,
    wait for delay inhibitors, and give how many microseconds that took and who still held one; then nothing
    happens, until Resume says that it is over.
    """
    methods = _ControlMethods(server)
    return Interface(
        names.CONTROL,
        methods={
            name: (takes, gives, methods.guarded(run))
            for name, (takes, gives, run) in methods.table().items()
        },
        properties={"WhatItIs": Property("s", lambda: WHAT_IT_IS)},
    )


class _ControlMethods:
    def __init__(self, server: LoginServer) -> None:
        self._server = server
        self._logins = server.logins

    def table(self) -> dict[str, tuple[str, str, Handler]]:
        return {
            "Login": ("sua{sv}", "s", self._login),
            "Logout": ("s", "", self._logout),
            "AddProcess": ("sub", "", self._add_process),
            "SetActive": ("ss", "", self._set_active),
            "SetIdle": ("sb", "", self._set_idle),
            "SetLocked": ("sb", "", self._set_locked),
            "SetLocker": ("sb", "", self._set_locker),
            "Shutdown": ("", "tas", self._shutdown),
            "Suspend": ("", "tas", self._suspend),
            "Resume": ("", "", self._resume),
        }

    def guarded(self, run: Handler) -> Handler:
        async def handler(call: IncomingCall) -> Results:
            await self._server.authority.check(call)
            results = run(call)
            return await results if isinstance(results, Awaitable) else results

        return handler

    def _login(self, call: IncomingCall) -> Results:
        user, uid, options = call.body
        return (self._server.login(user, uid, {name: item.value for name, item in options.items()}),)

    async def _logout(self, call: IncomingCall) -> None:
        await self._server.end_session(call.body[0])

    def _add_process(self, call: IncomingCall) -> Results:
        session, pid, ends = call.body
        try:
            self._server.processes.add(self._logins.session(session).id, pid, ends=ends)
        except ProcessLookupError:
            raise MethodError(names.INVALID_ARGS, f"there is no process {pid}") from None
        return ()

    def _set_active(self, call: IncomingCall) -> Results:
        seat, session = call.body
        self._server.perform(self._logins.set_active(seat, session))
        return ()

    def _set_idle(self, call: IncomingCall) -> Results:
        session, idle = call.body
        self._server.perform(self._logins.set_idle(session, idle=idle))
        return ()

    def _set_locked(self, call: IncomingCall) -> Results:
        session, locked = call.body
        self._server.perform(self._logins.set_locked(session, locked=locked))
        return ()

    def _set_locker(self, call: IncomingCall) -> Results:
        session, locker = call.body
        self._logins.session(session).locker = locker
        return ()

    async def _shutdown(self, _call: IncomingCall) -> Results:
        return await self._announce(SHUTDOWN)

    async def _suspend(self, _call: IncomingCall) -> Results:
        return await self._announce(SLEEP)

    def _resume(self, _call: IncomingCall) -> Results:
        self._server.inhibitors.end()
        return ()

    async def _announce(self, what: str) -> Results:
        delayed = await self._server.inhibitors.announce(what)
        return (delayed.microseconds, delayed.still_holding)
