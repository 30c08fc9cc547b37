"""Tells a stand-in what happens, through its control interface; for the demo and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guestmux.demo.standin_logind import names
from guestmux_transport.bus import Bus
from guestmux_transport.values import from_json

CALL_TIMEOUT = 20.0
"""Seconds: a shutdown waits InhibitDelayMaxSec, and a logout KILL_PATIENCE."""


class StandinControl:
    """The other end of `control_interface`; every method raises BusError when the stand-in refuses or is gone."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def login(self, user: str, uid: int, **options: str | int | bool) -> str:
        """Begin a session; returns its id.

        Args:
            user: the user's name.
            uid: his number.
            options: as `LOGIN_OPTIONS` names them, `_` for `-`; besides `id` and `activate`.
        """
        given = {name.replace("_", "-"): from_json(value) for name, value in options.items()}
        (session,) = await self._call("Login", "sua{sv}", user, uid, given)
        return str(session)

    async def logout(self, session: str) -> None:
        """End a session; returns when it is gone."""
        await self._call("Logout", "s", session)

    async def add_process(self, session: str, pid: int, *, ends: bool = False) -> None:
        """Put a process and its children into a session; `ends`: it is ended with the session."""
        await self._call("AddProcess", "sub", session, pid, ends)

    async def set_active(self, seat: str, session: str) -> None:
        """Bring a session to the foreground of a seat; with "" nobody is."""
        await self._call("SetActive", "ss", seat, session)

    async def set_idle(self, session: str, *, idle: bool) -> None:
        """Set the idle hint, as the desktop does when nobody touches anything."""
        await self._call("SetIdle", "sb", session, idle)

    async def set_locked(self, session: str, *, locked: bool) -> None:
        """Set the locked hint, as a screen locker does when the user locks."""
        await self._call("SetLocked", "sb", session, locked)

    async def ask_to_lock(self, session: str) -> None:
        """Ask the session's screen locker to lock, as `loginctl lock-session` does."""
        await self._bus.call(names.LOGIN1, names.MANAGER_PATH, names.MANAGER, "LockSession", "s", [session])

    async def set_locker(self, session: str, *, present: bool) -> None:
        """Say whether the session has a screen locker, which obeys Lock and Unlock at once."""
        await self._call("SetLocker", "sb", session, present)

    async def shutdown(self) -> tuple[int, list[str]]:
        """Announce a shutdown; returns how many microseconds it was delayed, and who still held it at the end."""
        return await self._announce("Shutdown")

    async def suspend(self) -> tuple[int, list[str]]:
        """Announce a sleep; returns as `shutdown` does."""
        return await self._announce("Suspend")

    async def resume(self) -> None:
        """The machine woke up, or the shutdown was called off."""
        await self._call("Resume", "")

    async def _announce(self, member: str) -> tuple[int, list[str]]:
        microseconds, holding = await self._call(member, "")
        return microseconds, holding

    async def _call(self, member: str, signature: str, *body: Any) -> Sequence[Any]:
        reply = await self._bus.call(
            names.CONTROL, names.CONTROL_PATH, names.CONTROL, member, signature, body, timeout=CALL_TIMEOUT
        )
        return reply.body
