"""One connection to a stock qemu-ga: it finds its place in the stream, and gives each question its answer."""

from __future__ import annotations

import logging
from random import SystemRandom
from typing import Any

from guestmux_eventd.changes import Changes
from guestmux_protocol.client import ClientConnection, ClientState, Connected, Garbled
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.messages import ErrorReply, Reply
from guestmux_transport.pipe import Pipe

MAX_SYNC_ID = 1 << 62
"""The first sync's number is below it, as `ClientConnection` wants."""

logger = logging.getLogger(__name__)


class LinkLost(GuestmuxError):
    """The connection ended, or an answer on it was lost."""


class BackendLink:
    """Questions one at a time: qemu-ga answers in order, and nothing else while it works on one.

    An answer that nobody waits for any more is known by its id and dropped; until it came the next question waits.

    Args:
        pipe: the connection.

    Attributes:
        busy_with: the command that qemu-ga works on, as far as we know; "" for none.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._client = ClientConnection(SystemRandom().randrange(MAX_SYNC_ID))
        self._changed = Changes()
        self._answers: dict[str, Reply | ErrorReply] = {}
        self._due = ""
        self._wanted = ""
        self._settled = False
        self.busy_with = ""

    def __repr__(self) -> str:
        return f"<BackendLink {self._pipe.name} {self._client!r} {self.busy_with or 'idle'}>"

    @property
    def lost(self) -> bool:
        """Whether the connection ended."""
        return self._pipe.gone

    async def run(self) -> None:
        """Read until qemu-ga leaves."""
        self._send()
        while data := await self._pipe.receive():
            for message in self._client.receive(data):
                self._take(message)
            self._send()
        self.close()

    def close(self) -> None:
        """End the connection; whoever waits for an answer is told."""
        self._pipe.close()
        self._changed.notify()

    async def ready(self) -> None:
        """Wait until qemu-ga takes a question.

        Raises:
            LinkLost: it left.
        """
        while self.busy_with or self._client.state is not ClientState.READY:
            await self._wait()

    async def ask(
        self, command: str, arguments: dict[str, Any], *, answered: bool = True
    ) -> Reply | ErrorReply:
        """Have a command run; only when `ready`.

        Args:
            command: its name.
            arguments: its arguments.
            answered: whether it answers when it went well; else what is asked after it tells that it did.

        Raises:
            LinkLost: qemu-ga left, or what it answered could not be read; the command may or may not have run.
            JsonError: an argument is no JSON value.
        """
        number = self._client.request(command, arguments)
        self.busy_with, self._wanted, self._due, self._settled = command, number, number, False
        if not answered:
            self._due = self._client.request("guest-sync", {"id": 0})
        self._send()
        try:
            while self.busy_with and number not in self._answers:
                await self._wait()
            return self._answer(number, answered=answered)
        finally:
            self._answers.clear()
            self._wanted = ""

    def _answer(self, number: str, *, answered: bool) -> Reply | ErrorReply:
        if number in self._answers:
            return self._answers[number]
        if self._settled and not answered:
            return Reply({})
        raise LinkLost("what qemu-ga answered was lost")

    async def _wait(self) -> None:
        if self.lost:
            raise LinkLost("qemu-ga left")
        await self._changed.wait()

    def _send(self) -> None:
        self._pipe.write(self._client.data_to_send())

    def _take(self, message: object) -> None:
        match message:
            case Garbled(desc):
                logger.warning("qemu-ga: %s", desc)
            case Connected(again=True):
                self.busy_with = ""
            case Reply(id=number) | ErrorReply(id=number):
                self._answered(number, message)
        self._changed.notify()

    def _answered(self, number: Any, message: Reply | ErrorReply) -> None:
        if number == self._wanted:
            self._answers[number] = message
        if number == self._due:
            self.busy_with, self._settled = "", True
