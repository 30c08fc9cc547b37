"""How much freed memory the process keeps for its next messages."""

from __future__ import annotations

import ctypes

MMAP_THRESHOLD = 4 << 20
"""Bytes from which on a block is given back when it is freed. The blocks of a message with 1 MiB of file content are
smaller: to have the kernel hand out and clear their pages each time takes longer than all else about them."""

TRIM_THRESHOLD = 8 << 20
"""Bytes of freed memory that are kept at most: what 1 MiB of file content takes in all its forms, and some."""

# Numbers of mallopt(3), from glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def keep_little() -> None:
    """Bound what stays after large messages; left alone, glibc keeps up to 64 MiB, in each of several arenas.

    To be called before threads are started. With a C library that knows no mallopt(3) it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
    # One for all threads, so that this is kept once.
    mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return freed memory to the system, also what lies between blocks in use. Takes some ms after bulk.

    With a C library that knows no malloc_trim(3) it does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
