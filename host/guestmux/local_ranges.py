"""Where a file of this host has data: what lies between are holes, which read as zeros and take no room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

LEAST_HOLE = 64 * 1024
"""Bytes of a hole that is worth leaving out; smaller ones cost less to send than to tell."""

Range = tuple[int, int]
"""Where it begins, and how long it is, in bytes."""


def data_ranges(descriptor: int, begin: int, size: int) -> Iterator[Range]:
    """The ranges of an open file that have data, from `begin` to `size`; all of it where the file system cannot tell.

    Raises:
        OSError: it cannot be told.
    """
    pending: Range | None = None
    for offset, length in _extents(descriptor, begin, size):
        if pending is not None and offset - sum(pending) < LEAST_HOLE:
            pending = pending[0], offset + length - pending[0]
            continue
        if pending is not None:
            yield pending
        pending = offset, length
    if pending is not None:
        yield pending


def _extents(descriptor: int, begin: int, size: int) -> Iterator[Range]:
    position = begin
    while position < size:
        try:
            data = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            if error.errno != errno.EINVAL:
                raise
            # A file system that knows no holes.
            yield position, size - position
            return
        if data >= size:
            return
        position = min(os.lseek(descriptor, data, os.SEEK_HOLE), size)
        yield data, position - data
