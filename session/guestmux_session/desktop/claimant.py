"""Says to eventd what the session is like, when it is like something else than was said before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, Protocol

import anyio

from guestmux_session.errors import AgentError, Disconnected, LimitExceeded, NotRegistered
from guestmux_session.news import News

REFUSED_SECONDS = 0.2
"""Seconds to wait when eventd wants to be told fewer things a second."""

logger = logging.getLogger(__name__)


class ClaimHost(Protocol):
    """What a claim needs of its agent."""

    async def claim(self, what: Literal["locked", "idle"], claims: Mapping[str, bool]) -> None:
        """Say what the session is like."""

    async def until_wanted(self, *events: str) -> None:
        """Wait until a host has subscribed to one of these."""

    async def until_unwanted(self, *events: str) -> None:
        """Wait until no host wants any of these."""


class Claimant:
    """Claims one thing, in one registration.

    Args:
        host: the agent.
        what: it.
    """

    def __init__(self, host: ClaimHost, what: Literal["locked", "idle"]) -> None:
        self._host = host
        self._what = what
        self._said: dict[str, bool] = {}
        self._trouble = News(logger, f"whether the session is {what}")

    async def claim(self, claims: Mapping[str, bool]) -> None:
        """Say it, if it is new. What eventd does not want to hear is logged."""
        if claims == self._said:
            return
        while True:
            try:
                await self._host.claim(self._what, claims)
            except LimitExceeded:
                await anyio.sleep(REFUSED_SECONDS)
            except (Disconnected, NotRegistered):
                return
            except AgentError as error:
                self._trouble.tell(f"eventd was not told: {error}", logging.WARNING)
                return
            else:
                self._said = dict(claims)
                return
