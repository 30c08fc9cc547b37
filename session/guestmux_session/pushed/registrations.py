"""Which agents are registered, as eventd tells their own user."""

from __future__ import annotations

import os
from typing import NamedTuple

from guestmux_session.logind import LOGIN_NAME, LOGIN_PATH
from guestmux_session.logind import MANAGER_INTERFACE as LOGIN_INTERFACE
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH

LIST_TIMEOUT = 5.0
"""Seconds: eventd answers from memory."""

SYSTEM = "system"


class Registration(NamedTuple):
    """An agent that is registered."""

    session: str
    name: str
    version: str


class Registrations:
    """Asks for them.

    Args:
        system: those of the system, and not of this user's sessions.
        uid: the user; who this process is, where not given.
    """

    def __init__(self, *, system: bool, uid: int | None = None) -> None:
        self._system = system
        self._uid = os.getuid() if uid is None else uid
        self._bus: Bus | None = None

    def attach(self, bus: Bus) -> None:
        """Use this connection to the bus that eventd is on."""
        self._bus = bus

    async def all(self) -> list[Registration]:
        """What is registered now; nothing while eventd is away."""
        if self._bus is None:
            return []
        try:
            reply = await self._bus.call(
                *(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "ListAgents"), timeout=LIST_TIMEOUT
            )
        except BusError:
            return []
        rows = [Registration(*row) for row in reply.body[0]] if reply.signature == "a(sss)" else []
        if self._system:
            return [row for row in rows if row.session == SYSTEM]
        others = await self._others_sessions(self._bus)
        return [row for row in rows if row.session != SYSTEM and row.session not in others]

    async def _others_sessions(self, bus: Bus) -> set[str]:
        """Sessions of other users, whose agents eventd tells root, and nobody else."""
        if self._uid != 0:
            return set()
        try:
            reply = await bus.call(
                *(LOGIN_NAME, LOGIN_PATH, LOGIN_INTERFACE, "ListSessions"), timeout=LIST_TIMEOUT
            )
        except BusError:
            return set()
        rows = reply.body[0] if reply.signature == "a(susso)" else []
        return {session for session, uid, *_ in rows if uid != 0}

    async def named(self, name: str) -> list[Registration]:
        """Those of one name."""
        return [row for row in await self.all() if row.name == name]
