"""Events on their way to eventd over a channel: many at a time, each answered with its number in the journal."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from guestmux_protocol.registry import Data
from guestmux_session.errors import AgentError, Disconnected, InvalidArgument, TooLarge
from guestmux_session.pulse import Pulse

MAX_UNDERWAY = 4096
"""Events that eventd has not answered: some 30 ms of the fastest stream, so that neither side waits for the other."""

MAX_UNDERWAY_BYTES = 512 * 1024
"""Bytes of them. The channel keeps twice as many for a reader that is slow (mux.limits.EVENT_BYTES)."""

MAX_EVENT_BYTES = MAX_UNDERWAY_BYTES
"""Bytes of one event's data. eventd takes less and says so; this bounds what is sent to be refused."""

_FRAME_BYTES = 40
"""What stands around a name and data in a frame."""

Send = Callable[[int, str, bytes, int], None]
"""Sends an event: the agent's number for it, its name, its data as JSON, microseconds since the epoch."""


class BadAcknowledgement(Exception):
    """eventd answered what was not asked."""


class _Event:
    """An event that is not answered yet."""

    __slots__ = ("answer", "refused", "size")

    def __init__(self, size: int, answer: asyncio.Future[int] | None) -> None:
        self.size = size
        self.answer = answer
        self.refused = False


class Emission:
    """The events of one channel.

    Args:
        send: puts one on the wire.
        complain: is told of a refused event whose sender does not wait.
    """

    def __init__(self, send: Send, complain: Callable[[AgentError], None]) -> None:
        self._send = send
        self._complain = complain
        self._underway: deque[_Event] = deque()
        self._first = 1
        self._bytes = 0
        self._room = Pulse()
        self._over: str | None = None

    def __repr__(self) -> str:
        return f"<Emission {len(self._underway)} under way, {self._bytes} bytes>"

    async def emit(self, name: str, text: bytes) -> int:
        """Send an event and wait for its number in the journal.

        Raises:
            AgentError: as `Agent.emit`.
        """
        size = len(name) + len(text) + _FRAME_BYTES
        if self._over or self._is_full(size):
            await self._until_room(size)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(name, text, _Event(size, answer))
        return await answer

    async def post(self, name: str, text: bytes) -> None:
        """Send an event; waits only until there is room.

        Raises:
            Disconnected: the channel ended.
        """
        size = len(name) + len(text) + _FRAME_BYTES
        if self._over or self._is_full(size):
            await self._until_room(size)
        self._put(name, text, _Event(size, None))

    def acknowledged(self, untrusted_seq: int, untrusted_number: int | None) -> None:
        """Take in that eventd took the events up to one of our numbers, except those that it refused.

        Args:
            untrusted_seq: our number.
            untrusted_number: what that event is in the journal; those taken before it have the numbers before it.

        Raises:
            BadAcknowledgement: no such event is under way.
        """
        if self._over is not None:
            return
        count = untrusted_seq - self._first + 1
        if not 0 < count <= len(self._underway) or untrusted_number is None:
            raise BadAcknowledgement(f"it acknowledged event {untrusted_seq}, which is not under way")
        number = untrusted_number
        for event in reversed([self._underway.popleft() for _ in range(count)]):
            self._bytes -= event.size
            if event.refused:
                continue
            if event.answer is not None and not event.answer.done():
                event.answer.set_result(number)
            number -= 1
        self._first += count
        self._tell_room()

    def refused(self, untrusted_seq: int, error: AgentError) -> None:
        """Take in that eventd refused an event.

        Raises:
            BadAcknowledgement: no such event is under way.
        """
        if self._over is not None:
            return
        index = untrusted_seq - self._first
        if not 0 <= index < len(self._underway) or self._underway[index].refused:
            raise BadAcknowledgement(f"it refused event {untrusted_seq}, which is not under way")
        event = self._underway[index]
        event.refused = True
        if event.answer is None:
            self._complain(error)
        elif not event.answer.done():
            event.answer.set_exception(error)
        while self._underway and self._underway[0].refused:
            self._bytes -= self._underway.popleft().size
            self._first += 1
        self._tell_room()

    def close(self, reason: str) -> None:
        """The channel ended: nobody will answer."""
        self._over = reason
        for event in self._underway:
            if event.answer is not None and not event.answer.done():
                event.answer.set_exception(self._lost())
        self._underway.clear()
        self._room.beat()

    def _put(self, name: str, text: bytes, event: _Event) -> None:
        self._send(self._first + len(self._underway), name, text, time.time_ns() // 1000)
        self._underway.append(event)
        self._bytes += event.size

    def _is_full(self, size: int) -> bool:
        return bool(self._underway) and (
            len(self._underway) >= MAX_UNDERWAY or self._bytes + size > MAX_UNDERWAY_BYTES
        )

    async def _until_room(self, size: int) -> None:
        while self._over is None and self._is_full(size):
            await self._room.wait()
        if self._over is not None:
            raise self._lost()

    def _tell_room(self) -> None:
        # Half of it at once: who waits for room makes many more, and need not be woken for each.
        if len(self._underway) <= MAX_UNDERWAY // 2 and self._bytes <= MAX_UNDERWAY_BYTES // 2:
            self._room.beat()

    def _lost(self) -> Disconnected:
        return Disconnected(f"{self._over}; the event may or may not have been taken")


def event_text(event: str, data: Data | Mapping[str, Any]) -> bytes:
    """An event's data as JSON text.

    Raises:
        InvalidArgument: JSON has not all of it.
        TooLarge: it is more than MAX_EVENT_BYTES.
    """
    try:
        text = msgspec.json.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"{event}: {error}") from error
    if len(text) > MAX_EVENT_BYTES:
        raise TooLarge(f"{event}: {len(text)} bytes of data; at most {MAX_EVENT_BYTES}")
    return text
