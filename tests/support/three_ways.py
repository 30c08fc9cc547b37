"""Runs a case of a feed-style parser whole, byte by byte, and with a tail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Feed = Callable[[bytes], Sequence[Item]]


def three_ways(
    new_feed: Callable[[], Feed[Item]], data: bytes, tail: bytes, tail_items: Sequence[Item]
) -> list[Item]:
    """Feeds `data` to fresh parsers: at once, byte by byte, and both ways with `tail` after it.

    Args:
        new_feed: makes a parser and returns what feeds it; its items must compare by value.
        data: the case.
        tail: bytes that follow it.
        tail_items: what `tail` adds, whatever `data` was.

    Returns:
        the items of `data`, the same each way.
    """
    whole = list(new_feed()(data))
    assert in_pieces(new_feed(), data, 1) == whole, "byte by byte gives something else"
    expected = whole + list(tail_items)
    assert list(new_feed()(data + tail)) == expected, "with a tail in the same chunk"
    assert in_pieces(new_feed(), data + tail, 1) == expected, "byte by byte with a tail"
    return whole


def in_pieces(feed: Feed[Item], data: bytes, size: int) -> list[Item]:
    """The items of `data`, fed `size` bytes at a time."""
    return [item for start in range(0, len(data), size) for item in feed(data[start : start + size])]
