"""JSON texts that no framer handed out, as in mux: within the limits that framed ones keep to."""

from __future__ import annotations

from typing import Any

from guestmux_protocol.errors import FramingError, JsonError
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.json_structure import has_more_tokens_than
from guestmux_protocol.json_text import decode
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits


def decode_bounded(untrusted_text: bytes, limits: Limits = DEFAULT_LIMITS) -> Any:
    """The value of one JSON text, as `json_text.decode` reads it.

    Sixty megabytes of empty lists would take twenty times as much, and a minute.

    Args:
        untrusted_text: the text.
        limits: how deep it may nest, and how many tokens it may have.

    Raises:
        JsonError: it is no JSON value, or over a limit; in QEMU's words.
    """
    if _may_be_over(untrusted_text, limits):
        for item in JsonFramer(limits).feed(untrusted_text):
            if isinstance(item, FramingError):
                raise JsonError(item.desc)
    return decode(untrusted_text)


def _may_be_over(text: bytes, limits: Limits) -> bool:
    """Most are small, and of those that are not most are one long string."""
    if len(text) <= limits.nesting:
        return False
    return text.count(b"[") + text.count(b"{") > limits.nesting or has_more_tokens_than(limits.tokens, text)
