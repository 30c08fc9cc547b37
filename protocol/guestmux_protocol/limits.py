"""How large one JSON value from a peer may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one received value; the defaults are QEMU's (json-lexer.c, json-streamer.c).

    Args:
        message_bytes: bytes of one value; 64 MiB, so that 48 MiB of file content fits as base64.
        nesting: braces and brackets open at a time.
        tokens: lexical tokens of one value; a million empty lists cost far more memory than their text.

    Raises:
        ValueError: a limit is less than 1.
    """

    message_bytes: int = 64 << 20
    nesting: int = 1024
    tokens: int = 2 << 20

    def __post_init__(self) -> None:
        if min(self.message_bytes, self.nesting, self.tokens) < 1:
            raise ValueError("a limit is at least 1")


DEFAULT_LIMITS = Limits()
