"""The notifications whose end somebody waits for. Synchronous: it is told, and says who has to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from guestmux_session.pulse import Pulse

Outcome = Literal["action", "dismissed", "expired", "closed"]

MAX_EARLY = 64
"""Ends kept of notifications whose number is not known yet: as many as can be shown at a time, and some more."""


@dataclass(frozen=True)
class Ending:
    """What became of a notification; `action` is the key that the user chose."""

    outcome: Outcome
    action: str = ""


class Watched:
    """One notification that somebody waits for."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.vanished = False
        self._pulse = Pulse()

    async def wait(self) -> Ending | None:
        """Wait for its end; None: the server went away, nobody will ever know."""
        while self.ending is None and not self.vanished:
            await self._pulse.wait()
        return self.ending

    def end(self, ending: Ending | None) -> None:
        """The first end counts: a chosen action is followed by a `dismissed`."""
        if self.ending is None and not self.vanished:
            self.ending, self.vanished = ending, ending is None
            self._pulse.beat()


class OpenNotifications:
    """All of them, by the server's numbers."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._early: dict[int, Ending] = {}
        self._showing = 0
        self._servers = 0

    @contextmanager
    def showing(self) -> Iterator[int]:
        """While the server is asked to show one: its end may be told before its number is known here.

        Yields:
            Which server it was, for `watch`.
        """
        self._showing += 1
        try:
            yield self._servers
        finally:
            self._showing -= 1
            if not self._showing:
                self._early.clear()

    def watch(self, number: int, server: int) -> Watched:
        """Wait for a notification from now on; inside `showing`."""
        if before := self._watched.pop(number, None):
            before.end(Ending("closed"))
        watched = self._watched[number] = Watched()
        if server != self._servers:
            watched.end(None)
        elif early := self._early.pop(number, None):
            watched.end(early)
        return watched

    def forget(self, number: int, watched: Watched) -> None:
        """Nobody waits for it any more."""
        if self._watched.get(number) is watched:
            del self._watched[number]

    def ended(self, number: int, ending: Ending) -> None:
        """The server says what became of one."""
        if watched := self._watched.get(number):
            watched.end(ending)
        elif self._showing and len(self._early) < MAX_EARLY:
            self._early.setdefault(number, ending)

    def vanished(self) -> None:
        """The server went away, and with it every notification."""
        self._servers += 1
        for watched in self._watched.values():
            watched.end(None)
