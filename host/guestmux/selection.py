"""What a stream asks the guest for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from guestmux.errors import GuestmuxError
from guestmux_protocol.commands import GuestEventSubscribe
from guestmux_protocol.patterns import EventFilter


class SelectionError(GuestmuxError):
    """What is asked for cannot be: a rate, interval or window out of its bounds, or too many names."""


class Selection:
    """Which events, and how they are to be sent. All but the patterns are for this stream alone.

    Args:
        patterns: globs over event names.
        sessions: of the events about a session only those about these, by logind's ids; None: all.
        users: of the events about a user only those about these, by name; None: all.
        rate: pattern -> events a second of each name and session.
        beacon: seconds between beacons; None: no beacons.
        window: events that may be under way and not acknowledged; None: any number.

    Attributes:
        wanted: the patterns.
        rated: the names with a rate.

    Raises:
        PatternError: a pattern is none.
        SelectionError: a bound is exceeded.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        *,
        sessions: Iterable[str] | None = None,
        users: Iterable[str] | None = None,
        rate: Mapping[str, float] | None = None,
        beacon: float | None = None,
        window: int | None = None,
    ) -> None:
        self.wanted = EventFilter(patterns)
        self.rated = EventFilter(rate or ())
        self.beacon = beacon
        self.window = window
        given = {
            "sessions": None if sessions is None else list(sessions),
            "users": None if users is None else list(users),
            "rate": dict(rate) if rate else None,
            "beacon": beacon,
            "window": window,
        }
        self.own: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        try:
            msgspec.convert(self.own, GuestEventSubscribe)
        except msgspec.ValidationError as error:
            raise SelectionError(f"such events cannot be asked for: {error}") from error

    def __repr__(self) -> str:
        return f"<Selection {' '.join(self.wanted.patterns)} {self.own}>"

    @property
    def is_plain(self) -> bool:
        """Whether it asks for names alone, so that it can share a subscription."""
        return not self.own
