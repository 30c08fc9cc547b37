"""Asks eventd what left the guest about the user who asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import anyio
import msgspec

from guestmux_session.errors import BadAnswer
from guestmux_transport.bus import Bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import CallError
from guestmux_transport.names import ERROR_PREFIX, MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import to_json

PAGE = 500
"""Events asked for at a time; eventd gives fewer where they are large."""

TOO_OFTEN = 0.5
"""Seconds to wait where eventd says that this user asks too often."""

Kind = TypeVar("Kind")

_SLOW_DOWN = f"{ERROR_PREFIX}LimitExceeded"


class SentEvent(msgspec.Struct, frozen=True):
    """An event that left, or is to.

    Attributes:
        seq: its number.
        time: microseconds since the epoch.
        event: its name.
        data: its data as it left; JSON text.
        sent: the ports that it was sent to, each with its dialect.
        waiting: those that it will be sent to.
        uid: whom it is about, where that is known.
    """

    seq: int
    time: int
    event: str
    data: str
    sent: list[tuple[str, str]]
    waiting: list[tuple[str, str]]
    uid: int | None = None


class Call(msgspec.Struct, frozen=True):
    """What a host called in a session, so often in the same way.

    Attributes:
        first: when the first ended; seconds since the epoch.
        last: when the last did.
    """

    uid: int
    session: str
    command: str
    outcome: str
    port: str
    count: int
    first: float
    last: float


class Page(msgspec.Struct, frozen=True):
    """Where a page of events stands.

    Attributes:
        next: the number up to which all was looked at.
        first: the oldest that eventd has in memory.
        last: the latest.
        unknown: up to this number subscriptions that are over may be missing.
        epoch: the run of eventd.
    """

    next: int
    first: int
    last: int
    unknown: int
    epoch: str


class LogClient:
    """eventd's record about the user of this process.

    Args:
        bus: where eventd is.

    Attributes:
        page: the last page's place; None before the first.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._after = 0
        self.page: Page | None = None

    async def events(self) -> AsyncIterator[SentEvent]:
        """The events since the last time, oldest first, until there are no more for now.

        Raises:
            BusError: eventd is not there, or too old to say.
            BadAnswer: it does not make sense.
        """
        while True:
            rows, place = await self._ask("ListSent", "tu", self._after, PAGE)
            self.page = _read(place, Page)
            if self.page.last < self._after:
                # An eventd without a journal has restarted, and numbers its events from 1.
                self._after = 0
                continue
            for row in _read(rows, list[SentEvent]):
                yield row
            went_on = self.page.next > self._after
            self._after = self.page.next
            if self.page.next >= self.page.last or not went_on:
                return

    async def calls(self) -> list[Call]:
        """What hosts called.

        Raises:
            BusError: eventd is not there, or too old to say.
            BadAnswer: it does not make sense.
        """
        (rows,) = await self._ask("ListCalls", "")
        return _read(rows, list[Call])

    async def _ask(self, member: str, signature: str, *body: Any) -> list[Any]:
        while True:
            try:
                reply = await self._bus.call(
                    MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, member, signature, body
                )
            except CallError as error:
                if error.name != _SLOW_DOWN:
                    raise
                await anyio.sleep(TOO_OFTEN)
            else:
                return _plain(reply)


def _plain(reply: Reply) -> list[Any]:
    close_fds(reply.fds)
    return [to_json(value) for value in reply.body]


def _read(value: Any, kind: type[Kind]) -> Kind:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"eventd's record does not make sense: {error}") from error
