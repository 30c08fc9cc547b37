"""Bytes as JSON carries them."""

from __future__ import annotations

import binascii

from guestmux.errors import UnexpectedReply


def encode(data: bytes) -> str:
    """Bytes as base64."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def decode(command: str, untrusted_text: str) -> bytes:
    """The bytes of a reply's base64.

    Raises:
        UnexpectedReply: it is none.
    """
    try:
        return binascii.a2b_base64(untrusted_text)
    except ValueError as error:
        raise UnexpectedReply(f"the guest's answer to {command}: {error}") from error
