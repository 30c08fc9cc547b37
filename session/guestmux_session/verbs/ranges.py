"""The ranges of a file that a transfer is about."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, UnsetType

from guestmux_protocol.schema import INT64_MAX
from guestmux_session.errors import CommandError

Range: TypeAlias = tuple[int, int]
"""Offset and length in bytes."""

WHOLE: tuple[Range, ...] = ((0, INT64_MAX),)
"""All of a file, however long it is."""


def asked_ranges(asked: list[list[int]] | UnsetType) -> list[Range]:
    """The ranges that a host means; all of the file where it names none.

    Raises:
        CommandError: they overlap, do not ascend, or go beyond what a file can be.
    """
    if asked is UNSET:
        return [*WHOLE]
    ranges = [(offset, length) for offset, length in asked]
    end = 0
    for offset, length in ranges:
        if offset < end:
            raise CommandError(f"the range at {offset} begins before {end}, where the one before it ends")
        end = offset + length
        if end > INT64_MAX:
            raise CommandError(f"the range at {offset} ends where no file does")
    return ranges
