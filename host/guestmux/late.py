"""Events that a guest kept back for their rate, and sends behind others with higher numbers."""

from __future__ import annotations

from guestmux.event import Event
from guestmux_protocol.patterns import EventFilter

MAX_KINDS = 4096
"""Names and sessions whose latest number is remembered: four times what a guest paces."""


class LateEvents:
    """Tells which rated events are late, and which came already: a guest repeats the last of each kind.

    Args:
        rated: the names with a rate.
    """

    def __init__(self, rated: EventFilter) -> None:
        self._rated = rated
        self._latest: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"<LateEvents {len(self._latest)} kinds>"

    def is_late(self, event: Event) -> bool:
        """Whether its number says nothing of how far the stream is."""
        return event.name in self._rated and event.data.get("late") is True

    def is_new(self, event: Event) -> bool:
        """Whether it, or a later one of its kind, did not come yet. It has then."""
        if event.name not in self._rated or event.seq is None:
            return True
        kind = (event.name, str(event.data.get("session")))
        latest = self._latest.pop(kind, 0)
        self._latest[kind] = max(latest, event.seq)
        if len(self._latest) > MAX_KINDS:
            del self._latest[next(iter(self._latest))]
        return event.seq > latest

    def reset(self) -> None:
        """Numbers begin anew."""
        self._latest.clear()
