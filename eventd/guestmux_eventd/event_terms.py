"""What one subscription asks for."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import UNSET

from guestmux_eventd.event_log import Entry
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.commands import GuestEventSubscribe
from guestmux_protocol.events import EVENTS, EVERY_ONE, STREAM_EVENTS
from guestmux_protocol.patterns import EventFilter, PatternError

MAX_RATE = 1_000_000.0
"""Events a second; more cannot be told from no bound."""

_UNSTORED = frozenset(EVENTS) - EVERY_ONE - STREAM_EVENTS

_DECLARED = "_"
"""What every event's name that an agent declared begins with: QAPI's downstream prefix `__org.example_`."""


class _About(msgspec.Struct):
    """The members that say what an event is about; any other may be there, of any type."""

    session: Any = None
    user: Any = None


_read_about = msgspec.json.Decoder(_About).decode


def about(entry: Entry) -> tuple[Any, Any]:
    """The session's id and the user's name that an event is about; None for what it does not say."""
    found = _read_about(entry.data)
    return found.session, found.user


@dataclass(frozen=True)
class Terms:
    """What a subscription asks for, checked.

    Attributes:
        wanted: which names.
        name: the subscription's; empty: it has none.
        sessions: which sessions' events, of those that are about one; None: all.
        users: which users' events, of those that are about one; None: all.
        rates: of which names how many a second.
        beacon: seconds between beacons; 0: none.
        window: events that may be sent and not acknowledged; 0: any number.
    """

    wanted: EventFilter
    name: str = ""
    sessions: frozenset[str] | None = None
    users: frozenset[str] | None = None
    rates: tuple[tuple[EventFilter, float], ...] = ()
    beacon: float = 0.0
    window: int = 0

    @property
    def by_name_alone(self) -> bool:
        """Whether an event's name decides, and what it is about does not."""
        return self.sessions is None and self.users is None

    def admits(self, entry: Entry) -> bool:
        """Whether an event is asked for."""
        return entry.name in self.wanted and (self.by_name_alone or self._admits_about(*about(entry)))

    def without(self, patterns: Iterable[str]) -> Terms:
        """The same without these patterns, compared as text."""
        return replace(self, wanted=self.wanted.without(patterns))

    def stored(self) -> list[str]:
        """The patterns that events may match which are on disk."""
        return [pattern for pattern in self.wanted.patterns if _matches_any(pattern, EVERY_ONE)]

    def unstored(self) -> list[str]:
        """The patterns that events may match which are in memory only."""
        return [pattern for pattern in self.wanted.patterns if _may_be_unstored(pattern)]

    def _admits_about(self, session: Any, user: Any) -> bool:
        return (self.sessions is None or session is None or session in self.sessions) and (
            self.users is None or user is None or user in self.users
        )


def read_terms(arguments: GuestEventSubscribe) -> Terms:
    """What a host asks for.

    Raises:
        CommandFailure: it cannot be.
    """
    try:
        return Terms(
            wanted=EventFilter(arguments.events),
            name=arguments.subscription,
            sessions=None if arguments.sessions is UNSET else frozenset(arguments.sessions),
            users=None if arguments.users is UNSET else frozenset(arguments.users),
            rates=() if arguments.rate is UNSET else tuple(map(_rate, arguments.rate.items())),
            beacon=0.0 if arguments.beacon is UNSET else arguments.beacon,
            window=0 if arguments.window is UNSET else arguments.window,
        )
    except PatternError as error:
        raise CommandFailure(str(error)) from error


def _rate(item: tuple[str, float]) -> tuple[EventFilter, float]:
    pattern, rate = item
    if not 0 < rate <= MAX_RATE:
        raise CommandFailure(f"rate of '{pattern[:64]}': more than 0, at most {MAX_RATE:.0f} a second")
    if pattern in EVERY_ONE:
        raise CommandFailure(f"{pattern} is kept every one, and has no rate")
    return EventFilter([pattern]), rate


def _may_be_unstored(pattern: str) -> bool:
    return pattern[:1] in (_DECLARED, "*", "?") or _matches_any(pattern, _UNSTORED)


def _matches_any(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
