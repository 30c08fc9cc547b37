"""session-get-idle: for how long nobody has used the session, as the best source and logind tell it."""

from __future__ import annotations

import time

from msgspec import UNSET

from guestmux_protocol.events import LOGIND
from guestmux_protocol.idle_commands import IDLE, IdleState, SessionGetIdle
from guestmux_session.declarations import command_of
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.idle_sources import IdleSources
from guestmux_session.desktop.idle_watch import IdleWatch
from guestmux_session.errors import CommandError, Disconnected
from guestmux_session.logind import LoginSession
from guestmux_session.provider import ProviderHost
from guestmux_transport.errors import BusError


class Idle:
    """Serves it.

    Args:
        host: the agent.
        sources: where it is known from.
        watch: follows the source while hosts want to know of changes.
        seconds: without input that make the session idle.

    Attributes:
        name: as session-get-info shows it.
    """

    name = "idle"

    def __init__(self, host: ProviderHost, sources: IdleSources, watch: IdleWatch, seconds: float) -> None:
        self._host = host
        self._sources = sources
        self._watch = watch
        self._seconds = seconds

    async def state(self) -> str:
        """Where it is known from, or why from nowhere but logind."""
        try:
            async with self._sources.open() as source:
                return source.name
        except DisplayError as error:
            return str(error)

    @command_of(IDLE["session-get-idle"])
    async def get_idle(self, _arguments: SessionGetIdle) -> IdleState:
        """Ask both."""
        name, seconds, why = await self._of_desktop()
        hint = await self._of_logind()
        said_by = ([name] if name else []) + ([LOGIND] if hint is not None else [])
        if not said_by:
            raise CommandError(f"nobody tells whether the session is idle: {why}")
        away = seconds is not None and seconds >= self._seconds
        longest = seconds if seconds is not None else (hint or None)
        return IdleState(
            idle=away or bool(hint), seconds=UNSET if longest is None else longest, said_by=said_by
        )

    async def _of_desktop(self) -> tuple[str, float | None, str]:
        """The source's name, what it tells, and why there is none."""
        try:
            async with self._sources.open() as source:
                seconds = await source.idle_for()
                if seconds is None:
                    seconds = self._watch.idle_for
                # One that tells only changes has told nothing yet.
                return (
                    source.name if seconds is not None else "",
                    seconds,
                    f"{source.name} tells only changes",
                )
        except DisplayError as error:
            return "", None, str(error)

    async def _of_logind(self) -> float | None:
        """Seconds that logind's hint is set, 0 where it is not; None: logind does not tell."""
        try:
            session = await LoginSession.of(self._host)
            hint, since = await session.get("IdleHint"), await session.get("IdleSinceHint")
        except (BusError, Disconnected):
            return None
        if not isinstance(hint, bool) or not isinstance(since, int):
            return None
        return max(time.time() - since / 1_000_000, 0.001) if hint else 0.0
