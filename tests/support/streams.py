"""What a stream of events gave."""

from __future__ import annotations

import guestmux


async def take(stream: guestmux.EventStream, count: int) -> list[guestmux.Item]:
    """The next so many items."""
    return [await anext(stream) for _ in range(count)]


def names(items: list[guestmux.Item]) -> list[str]:
    """Events by their names, the others by their kind."""
    return [item.name if isinstance(item, guestmux.Event) else type(item).__name__ for item in items]
