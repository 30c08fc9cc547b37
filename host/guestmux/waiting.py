"""Waiting until a session or an agent is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio

from guestmux.errors import CallTimeout
from guestmux.stream import EventStream
from guestmux_protocol.sessions import AgentInfo, Session

SEAT = "seat0"
"""The seat that `active` speaks of."""

USER_PREFIX = "user:"

Found = TypeVar("Found")


class Waiting(ABC):
    """Waits, by events and not by polling."""

    @abstractmethod
    def events(self, *patterns: str) -> EventStream:
        """Subscribe to events; see `Guest.events`."""

    @abstractmethod
    async def sessions(self, *, timeout: float | None = None) -> list[Session]:
        """The guest's sessions; see `Calls.sessions`."""

    async def wait_session(self, session: str = "active", *, timeout: float | None = None) -> Session:
        """Wait until a session is there.

        Args:
            session: a logind id, `active` or `user:NAME`.
            timeout: seconds; None waits for ever.

        Raises:
            CallTimeout: it did not come in time.
        """

        def look(sessions: Iterable[Session]) -> Session | None:
            return next((found for found in sessions if is_meant(session, found)), None)

        return await self._wait(look, f"session '{session}'", timeout)

    async def wait_agent(
        self, session: str = "active", agent: str | None = None, *, timeout: float | None = None
    ) -> AgentInfo:
        """Wait until an agent is registered in a session.

        Args:
            session: a logind id, `active` or `user:NAME`.
            agent: its name; any by default.
            timeout: seconds; None waits for ever.

        Raises:
            CallTimeout: it did not come in time.
        """

        def look(sessions: Iterable[Session]) -> AgentInfo | None:
            agents = (info for found in sessions if is_meant(session, found) for info in found.agents)
            return next((info for info in agents if agent in (None, info.name)), None)

        return await self._wait(look, f"agent '{agent or 'any'}' in session '{session}'", timeout)

    async def _wait(
        self, look: Callable[[Iterable[Session]], Found | None], what: str, timeout: float | None
    ) -> Found:
        with anyio.move_on_after(timeout):
            async with self.events("SESSION_LOGIN", "SESSION_ACTIVE", "AGENT_REGISTERED") as stream:
                if (found := look(stream.snapshot.sessions)) is not None:
                    return found
                async for _ in stream:
                    if (found := look(await self.sessions())) is not None:
                        return found
        raise CallTimeout(f"{what} did not come within {timeout:g} s")


def is_meant(selector: str, session: Session) -> bool:
    """Whether a selector, as eventd takes it, means this session."""
    if selector == "active":
        return session.active and session.seat == SEAT
    if selector.startswith(USER_PREFIX):
        return session.user == selector.removeprefix(USER_PREFIX)
    return session.session == selector
