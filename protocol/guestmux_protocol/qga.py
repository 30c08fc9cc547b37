"""The `qga` dialect, server side: a host that never subscribes cannot tell it from qemu-ga (qga/main.c)."""

from __future__ import annotations

from typing import Any

from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.incoming import Incoming, read_value
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from guestmux_protocol.messages import Request, encode_error, encode_reply

SYNC_MARK = b"\xff"
"""Stands before the reply to guest-sync-delimited and nowhere else."""


class QgaDialect:
    """One host connection that speaks qemu-ga's protocol: silent until asked, replies in request order.

    Args:
        limits: bounds on one message.
    """

    name = "qga"

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._framer = JsonFramer(limits)

    def __repr__(self) -> str:
        return f"<QgaDialect buffered={self._framer.buffered}>"

    def opened(self) -> bytes:
        """The bytes to send when a host connects: none, qemu-ga has no greeting."""
        return b""

    def receive(self, data: bytes) -> list[Incoming]:
        """The requests in the host's bytes, with the errors that answer what was none, in order."""
        return [read_value(value, oob_allowed=False) for value in self._framer.feed(data)]

    def reply(self, request: Request, value: Any) -> bytes:
        """The bytes of a successful reply.

        Raises:
            JsonError: the value is no JSON value.
        """
        mark = SYNC_MARK if request.command == "guest-sync-delimited" else b""
        return mark + encode_reply(value, request.id)

    def error(self, request: Request, error_class: str, desc: str) -> bytes:
        """The bytes of an error reply."""
        return encode_error(error_class, desc, request.id)
