"""The checksum of what is transferred."""

from __future__ import annotations

from typing import Protocol


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None:
        """Hash more."""

    def hexdigest(self) -> str:
        """The checksum of all of it."""


def begun_hash(*, wanted: bool) -> Hash | None:
    """A BLAKE2b of 64 bytes to be; nothing where none is wanted."""
    if not wanted:
        return None
    import hashlib

    try:
        # OpenSSL's takes 0.6 of the time of hashlib.blake2b, Python's own; a build for FIPS has it not.
        return hashlib.new("blake2b512", usedforsecurity=False)
    except ValueError:
        return hashlib.blake2b()
