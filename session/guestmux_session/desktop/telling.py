"""Emitting an event that must not be lost for a moment's reason, and may be for a lasting one."""

from __future__ import annotations

import logging

import anyio

from guestmux_protocol.registry import Data
from guestmux_session.desktop.app_watch import REFUSED_SECONDS, AppHost
from guestmux_session.errors import Denied, InvalidArgument, LimitExceeded, TooLarge
from guestmux_session.news import News


async def tell(host: AppHost, event: str, data: Data, trouble: News) -> None:
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
