"""session-lock and session-unlock, through logind."""

from __future__ import annotations

from guestmux_protocol.session_commands import (
    SESSION,
    LockState,
    SessionLockCommand,
    SessionUnlockCommand,
)
from guestmux_session.declarations import command_of
from guestmux_session.explained import explained
from guestmux_session.logind import LoginSession
from guestmux_session.provider import Provider

CONFIRM_SECONDS = 5.0
"""Seconds that a screen locker has to set the session's LockedHint; a cold gnome-shell takes one or two."""


class LockLogind(Provider):
    """Asks logind to lock; the session's screen locker does it and confirms by LockedHint."""

    name = "lock-logind"
    confirm_seconds = CONFIRM_SECONDS

    @command_of(SESSION["session-lock"])
    async def lock(self, _arguments: SessionLockCommand) -> LockState:
        """Lock and wait for the confirmation."""
        return await self._ask("Lock", locked=True)

    @command_of(SESSION["session-unlock"])
    async def unlock(self, _arguments: SessionUnlockCommand) -> LockState:
        """Unlock and wait for the confirmation."""
        return await self._ask("Unlock", locked=False)

    async def _ask(self, member: str, *, locked: bool) -> LockState:
        with explained(f"logind could not {member.lower()} the session"):
            session = await LoginSession.of(self._host)
            hint = await session.ask_and_wait(member, "LockedHint", locked, self.confirm_seconds)
        return LockState(locked=bool(hint), confirmed=bool(hint) == locked)
