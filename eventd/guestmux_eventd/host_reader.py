"""What a host sends in JSON: answered as it comes where nobody has to wait, else by a task, and not read meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio.lowlevel

from guestmux_protocol.incoming import Incoming
from guestmux_transport.faults import FaultsGoTo
from guestmux_transport.pipe import HIGH_WATER, LOW_WATER, Pipe


class Reading(Protocol):
    """The dialect, as far as it reads."""

    def receive(self, data: bytes) -> list[Incoming]:
        """Requests in the host's bytes."""


class HostReader:
    """Reads a connection. A request costs it one turn of the loop, and no task.

    Args:
        pipe: the connection.
        dialect: what is spoken on it.
        answer: gives the reply, b"" when it comes later, None when something has to be waited for before.
        queue: takes what has to wait; it waits itself while enough does.
        send: takes replies.
    """

    def __init__(
        self,
        pipe: Pipe,
        dialect: Reading,
        answer: Callable[[Incoming], bytes | None],
        queue: Callable[[Incoming], Awaitable[None]],
        send: Callable[[bytes], None],
    ) -> None:
        self._pipe = pipe
        self._dialect = dialect
        self._answer = answer
        self._queue = queue
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._unanswered: deque[Incoming] = deque()
        self._is_over = False
        self._stuck: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        state = "OVER" if self._is_over else "STUCK" if self._stuck.done() else "READING"
        return f"<HostReader {self._pipe.name} {state}>"

    async def run(self, early: bytes) -> None:
        """Read until the host sends no more, or until it is stopped.

        Args:
            early: what was received already.

        Raises:
            PipeClosed: the host left.
        """
        if early:
            self._take_in(early)
        self._pipe.listen(self)
        try:
            while True:
                await self._stuck
                await self._answer_rest()
                if self._is_over:
                    return
                self._stuck = self._loop.create_future()
                self.readable()
        finally:
            self._pipe.listen(None)

    def stop(self) -> None:
        """Read no more; what is not answered yet never is."""
        self._is_over = True
        self._unanswered.clear()

    def readable(self) -> None:
        """Read, for the pipe; unless the task has something to do before."""
        if self._is_over or self._stuck.done():
            return
        with FaultsGoTo(self._stuck):
            if (data := self._pipe.receive_now()) is None:
                return
            self._pipe.heard(data)
            self._is_over = not data
            self._take_in(data)
            if self._pipe.more:
                self._loop.call_soon(self.readable)

    def writable(self) -> None:
        """Nothing: who waits for that awaits drain()."""

    def _take_in(self, data: bytes) -> None:
        self._unanswered.extend(self._dialect.receive(data))
        self._answer_some()
        if self._unanswered or self._is_over or self._pipe.pending > HIGH_WATER:
            self._stuck.set_result(None)

    def _answer_some(self) -> None:
        """Answer together what nobody has to wait for; one read's worth may be thousands of long answers."""
        replies = bytearray()
        while self._unanswered and len(replies) <= LOW_WATER:
            incoming = self._unanswered.popleft()
            if (reply := self._answer(incoming)) is None:
                self._unanswered.appendleft(incoming)
                break
            replies += reply
        if replies:
            self._send(bytes(replies))

    async def _answer_rest(self) -> None:
        """Go on where something has to wait: for those before it, for the host to read, or for a turn of the loop."""
        while self._unanswered:
            await anyio.lowlevel.checkpoint()
            await self._drain()
            incoming = self._unanswered.popleft()
            if (reply := self._answer(incoming)) is None:
                await self._queue(incoming)
            else:
                self._send(reply)
            self._answer_some()
        await self._drain()

    async def _drain(self) -> None:
        if self._pipe.pending > HIGH_WATER:
            await self._pipe.drain()
