"""The checksum that both ends of a copy take: BLAKE2b of 64 bytes, as b2sum(1) has it."""

from __future__ import annotations

import hashlib
from typing import Protocol


class Digest(Protocol):
    """A checksum that is being taken."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""

    def hexdigest(self) -> str:
        """Tell it, in hexadecimal digits."""


def new_digest() -> Digest:
    """Begin one: OpenSSL's where it has it, which is 1.7 times as fast as Python's own."""
    try:
        return hashlib.new("blake2b512", usedforsecurity=False)
    except ValueError:
        return hashlib.blake2b()
