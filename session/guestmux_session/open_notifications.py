"""The notifications of hosts that are open. Synchronous: it is told what the server says, and tells who has to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from guestmux_protocol.events import NotificationAction, NotificationClosed
from guestmux_session.pulse import Pulse

MAX_OPEN = 64
"""Notifications that are followed: more than a desktop lists. The oldest goes when one more comes."""

MAX_EARLY = 64
"""Things kept that happened to notifications whose number is not known yet: all calls' of an agent, and some more."""

Reason = Literal["dismissed", "expired", "closed", "server-gone"]
News = NotificationAction | NotificationClosed


@dataclass(frozen=True)
class Chosen:
    """The user chose the action of this key."""

    action: str


@dataclass(frozen=True)
class Replied:
    """The user replied."""

    text: str


@dataclass(frozen=True)
class Gone:
    """It is not there any more."""

    reason: Reason


Happening = Chosen | Replied | Gone


class Watched:
    """One notification that somebody waits for."""

    def __init__(self) -> None:
        self.ending: Happening | None = None
        self._pulse = Pulse()

    async def wait(self) -> Happening:
        """Wait for what becomes of it."""
        while self.ending is None:
            await self._pulse.wait()
        return self.ending

    def end(self, ending: Happening) -> None:
        """The first end counts: a chosen action is followed by a `dismissed`."""
        if self.ending is None:
            self.ending = ending
            self._pulse.beat()


class _Open:
    """One that the server shows.

    Attributes:
        watched: by whom asked for it and waits for it, or has waited.
        is_over: nobody is to hear of it any more.
    """

    def __init__(self, tag: str, *, resident: bool, watched: Watched | None) -> None:
        self.tag = tag
        self.resident = resident
        self.watched = watched
        self.is_over = False

    @property
    def awaited(self) -> Watched | None:
        """Who waits for it."""
        return self.watched if self.watched is not None and self.watched.ending is None else None


class OpenNotifications:
    """All of them, by the server's numbers.

    Args:
        tell: is given what happened to one that nobody waits for.
        close: is given the number of one that the server is to take away.
    """

    def __init__(self, tell: Callable[[News], None], close: Callable[[int], None]) -> None:
        self._tell = tell
        self._close = close
        self._open: dict[int, _Open] = {}
        self._early: dict[int, list[Happening]] = {}
        self._replaced: Counter[int] = Counter()
        self._showing = 0
        self._servers = 0

    def __contains__(self, number: int) -> bool:
        return number in self._open

    @property
    def is_idle(self) -> bool:
        """Whether nothing that the server says can be about one of these."""
        return not self._open and not self._showing

    @contextmanager
    def showing(self, replaces: int = 0) -> Iterator[int]:
        """While the server is asked to show one: things may happen to it before its number is known here.

        Args:
            replaces: the number that it is to have; 0: a new one.

        Yields:
            Which server it was, for `opened`.
        """
        self._showing += 1
        self._replaced[replaces] += 1
        try:
            yield self._servers
        finally:
            self._showing -= 1
            self._replaced[replaces] -= 1
            if not self._replaced[replaces]:
                # It was not replaced after all.
                for happening in self._early.pop(replaces, []):
                    self._happen(replaces, happening)
            if not self._showing:
                self._replaced.clear()
                self._early.clear()

    def opened(self, number: int, server: int, *, tag: str, resident: bool, waits: bool) -> Watched | None:
        """The server shows one; inside `showing`. Gives who waits for it, where somebody does."""
        watched = Watched() if waits else None
        before = self._open.pop(number, None)
        if before is not None and before.awaited is not None:
            before.awaited.end(Gone("closed"))
        self._open[number] = _Open(tag, resident=resident, watched=watched)
        if server != self._servers:
            self._happen(number, Gone("server-gone"))
        for happening in self._early.pop(number, []):
            self._happen(number, happening)
        self._make_room()
        return watched

    def forget(self, number: int, watched: Watched) -> None:
        """Nobody waits for it any more. It is taken away, unless it is to stay after its answer."""
        one = self._open.get(number)
        if one is None or one.watched is not watched:
            return
        one.is_over = one.is_over or watched.ending is None
        if one.is_over:
            # Some servers leave one open when its action was chosen.
            self._close(number)

    def happened(self, number: int, happening: Happening) -> None:
        """The server says what became of one."""
        if number in self._open and not self._replaced[number]:
            self._happen(number, happening)
        elif self._showing and sum(map(len, self._early.values())) < MAX_EARLY:
            self._early.setdefault(number, []).append(happening)

    def vanished(self) -> None:
        """The server went away, and with it every notification."""
        self._servers += 1
        for number in [*self._open]:
            self._happen(number, Gone("server-gone"))

    def _happen(self, number: int, happening: Happening) -> None:
        one = self._open.get(number)
        if one is None:
            return
        if isinstance(happening, Gone):
            del self._open[number]
        if one.awaited is not None:
            one.awaited.end(happening)
            # It goes away now, as who waited has been told; one that stays is everybody's from here on.
            one.is_over = not one.resident
        elif not one.is_over:
            self._tell(_news(number, one.tag, happening))

    def _make_room(self) -> None:
        if len(self._open) > MAX_OPEN:
            oldest = next(number for number, one in self._open.items() if one.awaited is None)
            self._close(oldest)
            self._happen(oldest, Gone("closed"))


def _news(number: int, tag: str, happening: Happening) -> News:
    match happening:
        case Chosen(action):
            return NotificationAction(id=number, tag=tag, action=action)
        case Replied(text):
            return NotificationAction(id=number, tag=tag, reply=text)
        case Gone(reason):
            return NotificationClosed(id=number, tag=tag, reason=reason)
