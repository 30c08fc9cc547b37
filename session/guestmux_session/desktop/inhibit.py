"""session-inhibit-idle, -uninhibit-idle, -hold-idle, session-list-inhibitors: a session that stays awake for a host."""

from __future__ import annotations

from msgspec import UNSET

from guestmux_protocol.inhibit_commands import (
    INHIBIT,
    Inhibited,
    Inhibitor,
    SessionHoldIdle,
    SessionInhibitIdle,
    SessionListInhibitors,
    SessionUninhibitIdle,
)
from guestmux_session.declarations import command_of
from guestmux_session.desktop.inhibitors import FOREVER, Held, Inhibitors
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of


class Inhibit:
    """Serves the commands.

    Args:
        inhibitors: what is held.
    """

    def __init__(self, inhibitors: Inhibitors) -> None:
        self._inhibitors = inhibitors

    @command_of(INHIBIT["session-inhibit-idle"])
    async def inhibit(self, asked: SessionInhibitIdle) -> Inhibited:
        """Begin, or go on."""
        if asked.id is UNSET:
            return _answer(await self._inhibitors.begin(asked.reason, asked.seconds))
        held = self._timed(asked.id)
        held.renew(asked.seconds)
        return _answer(held)

    @command_of(INHIBIT["session-uninhibit-idle"])
    async def uninhibit(self, asked: SessionUninhibitIdle) -> None:
        """End one."""
        self._timed(asked.id)
        self._inhibitors.end(asked.id)

    @command_of(INHIBIT["session-list-inhibitors"])
    async def list_inhibitors(self, _asked: SessionListInhibitors) -> list[Inhibitor]:
        """Tell them."""
        return [_described(held) for held in self._inhibitors]

    @stream_of(INHIBIT["session-hold-idle"])
    async def hold(self, asked: SessionHoldIdle, stream: ServedStream) -> None:
        """Hold while the stream is open."""
        held = await self._inhibitors.begin(asked.reason)
        try:
            await stream.accept(_answer(held))
            async for _ignored in stream:
                pass
        finally:
            self._inhibitors.end(held.number)

    def _timed(self, number: int) -> Held:
        held = self._inhibitors.get(number)
        if held.deadline == FOREVER:
            raise CommandError(f"a stream holds {number}; it ends with the stream")
        return held


def _answer(held: Held) -> Inhibited:
    return Inhibited(id=held.number, by=held.by)


def _described(held: Held) -> Inhibitor:
    seconds = UNSET if held.deadline == FOREVER else max(0.0, held.left)
    return Inhibitor(id=held.number, reason=held.reason, by=held.by, seconds=seconds)
