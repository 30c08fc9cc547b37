"""An agent's registration with eventd on one bus connection: got, kept, and got again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import anyio

from guestmux_session.agent_object import AgentObject
from guestmux_session.backoff import Backoff
from guestmux_session.calls import CallTable
from guestmux_session.channel import Channel
from guestmux_session.channel_keeper import ChannelKeeper
from guestmux_session.declarations import Served
from guestmux_session.errors import AgentError, InvalidArgument, NotRegistered
from guestmux_session.manager import Manager
from guestmux_session.news import News
from guestmux_session.serving import Serving
from guestmux_transport.bus import Bus
from guestmux_transport.names import MANAGER_NAME
from guestmux_transport.values import Variant

AGENT_PATH = "/org/guestmux/Agent1"
"""Where the object is. Each agent has a bus connection of its own, so all may have the same."""

FAREWELL = 2.0
"""Seconds that unregistering may take at the end: eventd notices by itself when we leave the bus."""

REDECLARED = "its commands changed"
STOPPING = "the agent is stopping"
CHANNEL_LOST = "the channel ended"


class Member(Protocol):
    """What a membership needs of its agent."""

    name: str
    max_streams: int | None

    @property
    def served(self) -> Mapping[str, Served]:
        """Its commands now."""

    @property
    def generation(self) -> int:
        """A number that changes with its commands."""

    def properties(self, *, streams: bool) -> dict[str, Variant]:
        """What the agent declares, as RegisterAgent takes it; with its streams or without."""

    async def entered(self, session: str, channel: Channel | None) -> None:
        """It was registered, and has a channel where eventd has them."""

    async def until_registered(self) -> None:
        """Waits until it knows of its registration."""

    def complain(self, error: AgentError) -> None:
        """An event was refused whose sender does not wait."""

    async def left(self, reason: str) -> None:
        """The registration ended."""

    async def while_registered(self) -> None:
        """Runs as long as the registration."""


class Membership:
    """The registration of one agent.

    Args:
        manager: eventd, on that connection.
        bus: the connection.
        agent: whose it is.
        calls: runs its commands.
        news: is told how things stand.
    """

    def __init__(self, manager: Manager, bus: Bus, agent: Member, calls: CallTable, news: News) -> None:
        self.manager = manager
        self._bus = bus
        self._agent = agent
        self._calls = calls
        self._serving = Serving(agent.served, calls, agent.until_registered)
        self._keeper = ChannelKeeper(manager, self._serving, agent.max_streams, news, agent.complain)
        self._news = news
        self._backoff = Backoff()
        self._generation = -1
        self._released_by: str | None = None
        self._released_at = 0

    async def run(self, prepare: Callable[[Bus], Awaitable[None]]) -> None:
        """Register whenever there is an eventd; for ever.

        Args:
            prepare: called before the first registration.

        Raises:
            BusError: the bus is lost.
        """
        face = AgentObject(self._serving, self._is_manager, self._is_released, self._release)
        self._bus.export(AGENT_PATH, face.interface())
        await self.manager.start()
        await prepare(self._bus)
        try:
            await self._register_always()
        finally:
            with anyio.CancelScope(shield=True):
                await self._keeper.leave(STOPPING)

    async def _register_always(self) -> None:
        while True:
            owner = await self._eventd()
            try:
                session = await self._register()
                await self._keeper.enter(AGENT_PATH)
            except AgentError as error:
                await self._try_later(owner, error)
                continue
            self._backoff.reset()
            self._released_by = None
            if await self._stay(owner, session) == CHANNEL_LOST:
                await self._keeper.pause()

    async def _eventd(self) -> str:
        """Wait for an eventd that did not release us; gives its unique name."""
        while (owner := self.manager.owner) is None or self._stays_released():
            if owner is None:
                self._news.tell(f"waiting for {MANAGER_NAME}: eventd is not running")
            await self.manager.changed.wait()
        return owner

    async def _register(self) -> str:
        self._backoff.attempt()
        self._generation = self._agent.generation
        streams = self._agent.max_streams is not None
        try:
            return await self._declare(streams)
        except InvalidArgument:
            if not streams:
                raise
            # An eventd from before there were streams knows no such declaration.
            return await self._declare(streams=False)

    async def _declare(self, streams: bool) -> str:
        properties = self._agent.properties(streams=streams)
        return await self.manager.register(AGENT_PATH, self._agent.name, properties)

    async def _try_later(self, owner: str, error: AgentError) -> None:
        if self.manager.owner != owner:
            return
        self._news.tell(f"not registered: {error}", logging.WARNING)
        logins = self.manager.logins
        with anyio.move_on_after(self._backoff.next()):
            while self.manager.owner == owner and self.manager.logins == logins:
                await self.manager.changed.wait()

    async def _stay(self, owner: str, session: str) -> str:
        self._news.tell(f"registered in session {session}")
        reason = STOPPING
        try:
            await self._agent.entered(session, self._keeper.channel)
            async with anyio.create_task_group() as group:
                group.start_soon(self._agent.while_registered)
                reason = await self._until_over(owner)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._leave(owner, reason)
        return reason

    async def _until_over(self, owner: str) -> str:
        while True:
            if self.manager.owner != owner:
                return "eventd went away"
            if self._released_by == owner:
                return "eventd released it"
            if self._keeper.lost_reason is not None:
                return CHANNEL_LOST
            if self._agent.generation != self._generation:
                return REDECLARED
            await self.manager.changed.wait()

    async def _leave(self, owner: str, reason: str) -> None:
        if reason == REDECLARED:
            # The next registration takes this one's place, so hosts see no gap and calls go on.
            return
        if reason == STOPPING:
            # A logout ends the agent as well as the session: its answer should still go out.
            await self._calls.settle(FAREWELL)
        self._calls.cancel_all(f"the registration ended: {reason}")
        await self._keeper.leave(f"the registration ended: {reason}")
        # The end of the channel has told eventd already, and hosts are to hear of that.
        told = reason == CHANNEL_LOST or self.manager.owner != owner or self._released_by == owner
        if not told and self._bus.lost_reason is None:
            await self._unregister()
        self._news.tell(f"no longer registered: {reason}")
        with anyio.move_on_after(FAREWELL):
            await self._agent.left(reason)

    async def _unregister(self) -> None:
        try:
            await self.manager.unregister(AGENT_PATH, FAREWELL)
        except NotRegistered:
            return  # it lost the channel first
        except AgentError as error:
            if self.manager.owner is None:
                return
            self._news.tell(f"eventd did not take the registration back: {error}", logging.WARNING)

    def _is_manager(self, unique_name: str) -> bool:
        return unique_name == self.manager.owner

    def _is_released(self) -> bool:
        return self._released_by is not None and self._released_by == self.manager.owner

    def _stays_released(self) -> bool:
        """A login since may have given the agent a session again."""
        return self._is_released() and self.manager.logins == self._released_at

    def _release(self) -> None:
        self._released_by = self.manager.owner
        self._released_at = self.manager.logins
        self.manager.changed.beat()
