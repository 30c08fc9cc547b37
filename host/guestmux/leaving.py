"""Waiting for a guest to go: a command that ends it is answered by silence, if at all."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import anyio

from guestmux.calling import Calling
from guestmux.errors import CallTimeout, ConnectionLost, GuestmuxError, NotConnected, RemoteError
from guestmux.event import Event
from guestmux.stream import EventStream

REFUSAL_TIME = 2.0
"""Seconds in which a guest refuses such a command; later it has taken it."""

PING_INTERVAL = 1.0
"""Seconds between two looks whether the guest still answers."""

SILENCE = 10.0
"""Seconds without an answer after which a guest is gone: a stock qemu-ga answers nothing while it runs shutdown(8)."""

logger = logging.getLogger(__name__)


class Leaver(Calling):
    """A guest that can be asked to go."""

    @abstractmethod
    def events(self, *patterns: str) -> EventStream:
        """Subscribe to events; see `Guest.events`."""

    @abstractmethod
    async def ping(self, *, timeout: float | None = None) -> None:
        """Ask for a sign of life; see `Calls.ping`."""


class Leaving:
    """One guest's going.

    Args:
        guest: who is to go.
        command: makes it.
        arguments: the command's.
        event: announces it, where the guest has events.
        is_last: whether the guest is gone with the event; else it still has a way to go.
    """

    def __init__(
        self, guest: Leaver, command: str, arguments: dict[str, Any], event: str, *, is_last: bool
    ) -> None:
        self._guest = guest
        self._command = command
        self._arguments = arguments
        self._event = event
        self._is_last = is_last
        self._taken = anyio.Event()
        self._gone = anyio.Event()
        self._refusal: GuestmuxError | RemoteError | None = None

    async def run(self, timeout: float, *, until_gone: bool) -> None:
        """Ask, and wait until the guest is gone, or until it has taken the command.

        Raises:
            RemoteError: it refused.
            GuestmuxError: it could not be asked.
            CallTimeout: it still answers after the time.
        """
        async with anyio.create_task_group() as tasks:
            stream = await self._subscribe()
            if stream is not None:
                tasks.start_soon(self._listen, stream)
            tasks.start_soon(self._ask, timeout)
            tasks.start_soon(self._watch)
            with anyio.move_on_after(timeout if until_gone else REFUSAL_TIME):
                await self._taken.wait()
                if until_gone:
                    await self._gone.wait()
            tasks.cancel_scope.cancel()
        if self._refusal is not None:
            raise self._refusal
        if until_gone and not self._gone.is_set():
            raise CallTimeout(f"the guest still answers {timeout:g} s after {self._command}")

    async def _subscribe(self) -> EventStream | None:
        stream = self._guest.events(self._event)
        try:
            await stream.begin()
        except RemoteError as error:
            logger.debug("no events: %s", error)
            return None
        except GuestmuxError as error:
            self._end(error)
            return None
        return stream

    async def _listen(self, stream: EventStream) -> None:
        try:
            async for item in stream:
                if isinstance(item, Event):
                    self._taken.set()
                    if self._is_last:
                        self._leave()
        except (GuestmuxError, RemoteError) as error:
            logger.debug("no more events: %s", error)

    async def _ask(self, timeout: float) -> None:
        try:
            await self._guest.call(self._command, self._arguments, timeout=timeout)
        except ConnectionLost:
            self._leave()
        except CallTimeout:
            logger.debug("%s: no reply, as is normal", self._command)
        except (GuestmuxError, RemoteError) as error:
            self._end(error)
        self._taken.set()

    async def _watch(self) -> None:
        """Ping until nobody answers."""
        try:
            while True:
                await anyio.sleep(PING_INTERVAL)
                await self._guest.ping(timeout=SILENCE)
        except (CallTimeout, ConnectionLost, NotConnected):
            self._leave()
        except (GuestmuxError, RemoteError) as error:
            logger.debug("no ping: %s", error)

    def _leave(self) -> None:
        self._gone.set()
        self._taken.set()

    def _end(self, error: GuestmuxError | RemoteError) -> None:
        if not self._gone.is_set():
            self._refusal = error
        self._leave()
