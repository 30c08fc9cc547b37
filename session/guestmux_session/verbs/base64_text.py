"""Base64 as qemu-ga takes it and gives it (QEMU's util/base64.c)."""

from __future__ import annotations

import binascii
import re

from guestmux_session.errors import CommandError

# Line feeds are the only characters that qemu-ga skips; a carriage return is refused.
_CHARACTERS = re.compile(r"[A-Za-z0-9+/=\n]*")
_PIECE = re.compile(r"[^=]+=*|=+")


def decoded(untrusted_text: str) -> bytes:
    """The bytes that base64 stands for.

    Several padded texts in a row stand for all their bytes, as in qemu-ga.

    Raises:
        CommandError: it is none. One that lacks its padding is refused, where qemu-ga drops its last bytes.
    """
    try:
        return binascii.a2b_base64(untrusted_text, strict_mode=True)
    except ValueError:
        return _in_pieces(untrusted_text)


def encoded(data: bytes | bytearray | memoryview) -> str:
    """Bytes as base64, in one line."""
    return str(binascii.b2a_base64(data, newline=False), "ascii")


def _in_pieces(untrusted_text: str) -> bytes:
    if not _CHARACTERS.fullmatch(untrusted_text):
        raise CommandError("Base64 data contains invalid characters")
    pieces = _PIECE.findall(untrusted_text.replace("\n", ""))
    try:
        return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in pieces)
    except binascii.Error as error:
        raise CommandError("Base64 data is cut off or wrongly padded") from error
