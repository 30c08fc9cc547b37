"""Globs over event names: `SESSION_*`, `*`, `__org.example_*`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from guestmux_protocol.errors import GuestmuxError

MAX_PATTERNS = 64
"""Patterns in one filter: a host that wants more of the few dozen event names wants `*`."""

MAX_PATTERN_LENGTH = 128
"""Characters of one pattern: twice the longest event name in use."""

_MAX_REMEMBERED = 1024
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")


class PatternError(GuestmuxError):
    """A pattern cannot be an event glob."""


class EventFilter:
    """Which event names a subscriber wants.

    Args:
        patterns: globs with `*` and `?`; at most MAX_PATTERNS of MAX_PATTERN_LENGTH characters.

    Raises:
        PatternError: a pattern has other characters, or there are too many.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        if len(self.patterns) > MAX_PATTERNS:
            raise PatternError(f"at most {MAX_PATTERNS} event patterns; use '*' to get every event")
        self._expression = re.compile("|".join(map(_translate, self.patterns)) or r"(?!)")
        self._remembered: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<EventFilter {' '.join(self.patterns)}>"

    def __contains__(self, name: str) -> bool:
        wanted = self._remembered.get(name)
        if wanted is None:
            wanted = self._expression.fullmatch(name) is not None
            if len(self._remembered) < _MAX_REMEMBERED:
                self._remembered[name] = wanted
        return wanted

    def without(self, patterns: Iterable[str]) -> EventFilter:
        """A filter that lacks these patterns, compared as text."""
        gone = set(patterns)
        return EventFilter(pattern for pattern in self.patterns if pattern not in gone)


def _translate(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_LENGTH or not _PATTERN.fullmatch(pattern):
        raise PatternError(
            f"'{pattern[:MAX_PATTERN_LENGTH]}' is no event pattern: letters, digits, '_', '-', '.', '*' and '?'"
        )
    # Its expression never backtracks past a star, however many there are.
    return fnmatch.translate(pattern)
