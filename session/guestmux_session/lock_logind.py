"""session-lock and session-unlock, through logind, and where no screen locker follows it through the screensavers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import anyio
from msgspec import UNSET

from guestmux_protocol.events import LOGIND
from guestmux_protocol.session_commands import (
    SESSION,
    LockState,
    SessionLockCommand,
    SessionUnlockCommand,
)
from guestmux_session.declarations import command_of
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.screensavers import ScreenSavers
from guestmux_session.explained import explained
from guestmux_session.logind import LoginSession
from guestmux_session.provider import Provider, ProviderHost
from guestmux_transport.errors import BusError

CONFIRM_SECONDS = 5.0
"""Seconds that a screen locker has to set the session's LockedHint; a cold gnome-shell takes one or two."""

FOLLOW_SECONDS = 2.0
"""Seconds of them after which the screensavers are asked as well: nobody has followed logind."""

SETTLE_SECONDS = 1.0
"""Seconds that the screensavers have to say how it is before logind is asked; one that hangs holds nothing else up."""

AGREE_SECONDS = 0.5
"""Seconds that the others have to say the same, once one has said that it is done."""

logger = logging.getLogger(__name__)


class LockLogind(Provider):
    """Asks logind to lock; the session's screen locker does it, and somebody confirms it.

    Args:
        host: the agent.
        savers: the session's screensavers.
    """

    name = "lock-logind"
    confirm_seconds = CONFIRM_SECONDS
    follow_seconds = FOLLOW_SECONDS

    def __init__(self, host: ProviderHost, savers: ScreenSavers) -> None:
        super().__init__(host)
        self._savers = savers

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
            async with (
                self._savers.followed(SETTLE_SECONDS) as savers,
                session.following("LockedHint", savers.changed) as hint,
            ):
                witnesses = _Witnesses(savers, hint)
                await session.ask(member)
                if not await witnesses.confirm(
                    self.follow_seconds, lambda: witnesses.followed(locked=locked)
                ):
                    await witnesses.ask_savers(locked=locked)
                    rest = self.confirm_seconds - self.follow_seconds
                    await witnesses.confirm(rest, lambda: witnesses.is_so(locked=locked))
                return witnesses.state(asked=locked)


class _Witnesses:
    """Those who say whether the session is locked: logind's hint, and the screensavers."""

    def __init__(self, savers: ScreenSavers, hint: Callable[[], Any]) -> None:
        self._savers = savers
        self._hint = hint
        self._before = savers.values

    @property
    def _values(self) -> dict[str, bool]:
        return {LOGIND: self._hint() is True, **self._savers.values}

    async def confirm(self, seconds: float, confirmed: Callable[[], bool]) -> bool:
        """Wait until somebody has confirmed it, and a little for the others to agree; False: nobody did in time."""
        if not await self._until(seconds, confirmed):
            return False
        await self._until(AGREE_SECONDS, lambda: len({*self._values.values()}) == 1)
        return True

    def followed(self, *, locked: bool) -> bool:
        """Whether it was done as logind asked: its hint says so, or a screensaver that said otherwise before.

        One that has blanked the screen long ago need not have locked it.
        """
        values = self._values
        if not locked:
            return not any(values.values())
        turned = [name for name, value in values.items() if value and not self._before.get(name)]
        return bool(turned)

    def is_so(self, *, locked: bool) -> bool:
        """Whether somebody says that it is locked; or nobody does."""
        return any(self._values.values()) == locked

    async def ask_savers(self, *, locked: bool) -> None:
        """Have the screensavers do it that have not."""
        for saver in self._savers.running:
            if saver.active == locked:
                continue
            try:
                await (saver.lock() if locked else saver.unlock())
            except (BusError, DisplayError) as error:
                logger.info("%s: %s", saver.name, error)

    def state(self, *, asked: bool) -> LockState:
        """What became of it."""
        values = self._values
        locked = any(values.values())
        return LockState(
            locked=locked,
            confirmed=locked == asked,
            said_by=[name for name, value in values.items() if value == locked] if locked == asked else [],
            values=values if len({*values.values()}) > 1 else UNSET,
        )

    async def _until(self, seconds: float, condition: Callable[[], bool]) -> bool:
        with anyio.move_on_after(seconds):
            while not condition():
                await self._savers.changed.wait()
        return condition()
