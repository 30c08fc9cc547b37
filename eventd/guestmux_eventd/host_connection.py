"""One connection of a host, from its coming to its leaving, whatever is spoken on it meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing

from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.host_session import Dialect, HostSession
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.mux_session import MuxSession
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.router import Router
from guestmux_protocol.patterns import EventFilter
from guestmux_transport.pipe import Pipe

logger = logging.getLogger(__name__)


class HostConnection:
    """A host that begins with JSON, and may go over to mux and come back.

    Args:
        pipe: the connection.
        dialect: makes what is spoken at first; each time anew, with a greeting of its own.
        natives: eventd's own commands.
        router: the way to the agents'.
        events: makes the feed of events for a port and a dialect; each dialect has one of its own.
        hosts: where the connection is entered while it lasts.
    """

    wanted: EventFilter | None = None
    """It counts as a connected host; what it wants is its session's to say."""

    def __init__(
        self,
        pipe: Pipe,
        dialect: Callable[[], Dialect],
        natives: NativeCommands,
        router: Router,
        events: Callable[[str, str], EventFeed],
        hosts: Hosts,
    ) -> None:
        self._pipe = pipe
        self._dialect = dialect
        self._natives = natives
        self._router = router
        self._events = events
        self._hosts = hosts

    def __repr__(self) -> str:
        return f"<HostConnection {self._pipe!r}>"

    def has(self, _seq: int) -> bool:
        """Nothing waits here."""
        return True

    async def run(self) -> None:
        """Serve the host until it leaves."""
        self._hosts.add(self)
        early: bytes | None = b""
        try:
            while early is not None and await self._speak_json(early):
                early = await self._speak_mux()
        finally:
            self._hosts.remove(self)
            self._pipe.close()

    async def _speak_json(self, early: bytes) -> bool:
        """Whether the host goes over to mux."""
        dialect = self._dialect()
        with closing(self._events(self._pipe.name, dialect.name)) as feed:
            return await HostSession(
                self._pipe, dialect, self._natives, self._router, feed, self._hosts, early
            ).run()

    async def _speak_mux(self) -> bytes | None:
        """What the host sent behind the end of mux; None where the connection has to end with it."""
        with closing(self._events(self._pipe.name, "mux")) as feed:
            end = await MuxSession(self._pipe, self._natives, self._router, feed, self._hosts).run()
        if end.violation:
            # What is still on its way may be content; only where that is masked it is no danger to read on.
            goes_on = self._pipe.outlived
            logger.warning("%s: %s: %s", self._pipe.name, "back to qmp" if goes_on else "closed", end.reason)
            if not goes_on:
                return None
        return end.reset_rest or b""
