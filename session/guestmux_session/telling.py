"""Emitting an event that must not be lost for a moment's reason, and may be for a lasting one."""

from __future__ import annotations

import logging
from typing import Protocol

import anyio

from guestmux_protocol.registry import Data
from guestmux_session.errors import Denied, InvalidArgument, LimitExceeded, TooLarge
from guestmux_session.news import News

REFUSED_SECONDS = 0.2
"""Seconds to wait when eventd wants fewer events a second: its bucket has room for some hundred again."""


class Emitter(Protocol):
    """Whom events go to."""

    async def emit(self, event: str, data: Data) -> int:
        """Send an event."""


class EventHost(Emitter, Protocol):
    """What a watch needs of its agent."""

    def wanted(self, event: str) -> bool:
        """Whether a host subscribed to an event."""

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has subscribed to one of these."""

    async def until_unwanted(self, *events: str) -> None:
        """Wait until no host wants any of these."""

    def withheld(self, event: str) -> frozenset[str]:
        """The members of an event's data that do not leave the guest; `*` is all of them."""


async def tell(host: Emitter, event: str, data: Data, trouble: News) -> None:
    """Emit it, and where eventd wants fewer events, wait.

    Args:
        host: the agent.
        event: its name.
        data: what it tells.
        trouble: hears of a refusal.

    Raises:
        Disconnected: eventd is gone; it may or may not have arrived.
        NotRegistered: eventd knows the agent no more.
    """
    while True:
        try:
            await host.emit(event, data)
        except LimitExceeded:
            await anyio.sleep(REFUSED_SECONDS)
        except (InvalidArgument, Denied, TooLarge) as error:
            trouble.tell(f"{event} was refused: {error}", logging.WARNING)
            return
        else:
            return
