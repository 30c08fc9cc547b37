"""The channel that belongs to a registration: asked for after it, kept when it is renewed, and left with it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.channel import Channel
from guestmux_session.errors import AgentError, AlreadyRegistered, ManagerRefused, NotRegistered
from guestmux_session.manager import Manager
from guestmux_session.news import News
from guestmux_session.serving import Serving


class ChannelKeeper:
    """Has a channel wherever eventd offers them.

    Args:
        manager: eventd; `changed` is beaten when the channel is lost.
        serving: the commands that it carries.
        max_streams: streams at a time; None: no channel is wanted.
        news: is told why there is none.
        complain: is told of a refused event whose sender does not wait.

    Attributes:
        channel: the channel; None for D-Bus alone.
    """

    def __init__(
        self,
        manager: Manager,
        serving: Serving,
        max_streams: int | None,
        news: News,
        complain: Callable[[AgentError], None],
    ) -> None:
        self.channel: Channel | None = None
        self._manager = manager
        self._serving = serving
        self._max_streams = max_streams
        self._news = news
        self._complain = complain
        self._backoff = Backoff()
        self._owner: str | None = None

    @property
    def lost_reason(self) -> str | None:
        """Why there is a channel no more, though there was one; None where all is well."""
        return self.channel.lost_reason if self.channel is not None else None

    async def enter(self, path: str) -> None:
        """Ask for a channel, unless there is one with this eventd.

        Args:
            path: the registered agent's object.

        Raises:
            AgentError: eventd left, did not answer, does not make sense, or has another view of the registration.
        """
        owner = self._manager.owner
        if self._max_streams is None or (self.channel and not self.lost_reason and self._owner == owner):
            return
        await self.leave("another takes its place")
        self._backoff.attempt()
        try:
            connection = await self._manager.acquire_channel(path)
            self._owner = owner
            self.channel = Channel(
                connection, self._serving, self._max_streams, self._manager.changed.beat, self._complain
            )
        except (NotRegistered, AlreadyRegistered):
            raise
        except ManagerRefused as error:
            self._news.tell(f"no channel, D-Bus alone: {error}")

    async def leave(self, reason: str) -> None:
        """Give the channel up; what runs on it is cancelled."""
        channel, self.channel = self.channel, None
        if channel is not None:
            await channel.aclose(reason)

    async def pause(self) -> None:
        """Wait before the next registration after a channel was lost: the longer, the more often that happens."""
        owner = self._manager.owner
        with anyio.move_on_after(self._backoff.next()):
            while self._manager.owner == owner:
                await self._manager.changed.wait()
