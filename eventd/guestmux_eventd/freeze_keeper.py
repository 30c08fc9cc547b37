"""Keeps the freeze gate as the system agent says: from its answers to hosts, and by asking when it comes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from guestmux_eventd.agent_links import Links
from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.background import Background
from guestmux_eventd.changes import Changes
from guestmux_eventd.freeze_gate import FREEZING, STATUS, THAW, FreezeGate
from guestmux_eventd.identity import BACKEND, SYSTEM
from guestmux_eventd.refusal import CommandFailure

STATUS_TIMEOUT = 10.0
"""Seconds that the system agent has to say how things stand."""

STATUS_RETRY = 5.0
"""Seconds until it is asked again, where it did not."""

logger = logging.getLogger(__name__)


class FreezeKeeper:
    """Follows what the system agent does to file systems.

    Args:
        gate: what it keeps.
        agents: the registered agents.
        links: the way to them.
        changes: notified when an agent comes or goes.
        background: where an agent that left a freeze unanswered is asked how things stand.
    """

    def __init__(
        self, gate: FreezeGate, agents: AgentTable, links: Links, changes: Changes, background: Background
    ) -> None:
        self._gate = gate
        self._agents = agents
        self._links = links
        self._changes = changes
        self._background = background
        self._answers = 0

    def __repr__(self) -> str:
        return f"<FreezeKeeper {self._gate!r}>"

    async def follow(self, agent: Agent, command: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call, and keep the gate by how it ends.

        Raises:
            CommandFailure: as the call.
        """
        if agent.session not in (SYSTEM, BACKEND):
            return await call()
        if command in FREEZING:
            return await self._freeze(call)
        value = await call()
        if command == THAW:
            self._answers += 1
            self._gate.thawed()
        elif command == STATUS:
            self._gate.status(value)
        return value

    async def run(self) -> None:
        """Ask every system agent that comes: file systems may be frozen since before eventd began."""
        asked: object = None
        while True:
            agent = self._agents.route_system(STATUS)
            if agent is None:
                asked = None
            elif agent.presence is not asked:
                asked = agent.presence
                self._background.start(self._ask)
            await self._changes.wait()

    async def _freeze(self, call: Callable[[], Awaitable[Any]]) -> Any:
        value = None
        self._gate.freezing()
        try:
            await self._gate.prepare()
            value = await call()
        finally:
            self._answers += 1
            self._gate.freeze_ended(value)
            if value is None:
                self._background.start(self._ask)
        return value

    async def _ask(self) -> None:
        while agent := self._agents.route_system(STATUS):
            answers = self._answers
            try:
                value = await self._links.call(agent, STATUS, {}, port="", timeout=STATUS_TIMEOUT)
            except CommandFailure as failure:
                logger.debug("%r did not say whether it froze: %s", agent, failure.desc)
                await anyio.sleep(STATUS_RETRY)
                continue
            if answers == self._answers:
                # Else it may be from before what a host did meanwhile.
                self._gate.status(value)
                return
