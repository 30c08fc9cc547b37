"""Which events some host subscribed to, as eventd's WantedEvents says."""

from __future__ import annotations

from collections.abc import Iterable

from guestmux_protocol.patterns import EventFilter, PatternError


class Wanted:
    """The patterns of all hosts together.

    Args:
        patterns: globs; one that is none is left out, as it cannot have been subscribed to.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._filters = [one for pattern in dict.fromkeys(patterns) if (one := _filter(pattern))]

    def __contains__(self, name: str) -> bool:
        return any(name in one for one in self._filters)


def _filter(pattern: str) -> EventFilter | None:
    try:
        return EventFilter([pattern])
    except PatternError:
        return None


NOTHING = Wanted()
EVERYTHING = Wanted(["*"])
