"""How much one end of a mux connection takes, and how much it may keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
"""The only version of the frames so far."""

LEAST_FRAME: Final = 512
"""A peer that takes less in one DATA would have a header for every few bytes."""

MOST_NUMBER: Final = (1 << 63) - 1
"""Ids, sequence numbers and credit fit into 64 bits with a sign, as JSON's integers do in QEMU."""

VALUE_BYTES: Final = 64 << 20
"""A JSON value, as in the other dialects (limits.Limits.message_bytes)."""

NAME_BYTES: Final = 256
"""A command, an event or an error class; the longest of ours has 40."""

DESC_BYTES: Final = 16 * 1024
"""An error's text: what a tool says on stderr fits, and longer ones are cut by the sender."""

FRAME_OVERHEAD: Final = 2 * DESC_BYTES
"""A frame is never larger than its values and this: all other members, at their longest."""

CONTROL_BYTES: Final = 4 << 20
"""Control frames that wait to be sent, from which on this end makes no more: an asker refuses to ask, a server should
stop receiving. One large value may be beyond it."""

EVENT_BYTES: Final = 1 << 20
"""Events that wait to be sent; a fast sender needs no more to be busy all the time, and its journal keeps the rest."""

EVENT_ANSWERS: Final = 4096
"""ACKs and NAKs that wait to be sent. They come to so many only from a peer that sends events and reads nothing."""


@dataclass(frozen=True, slots=True)
class MuxLimits:
    """What this end announces in its HELLO; the smaller of both ends' numbers holds.

    Args:
        max_frame: bytes of one DATA. Nothing waits longer behind bulk than one frame; at 64 KiB the cost of a frame
            is already small beside that of its bytes.
        window: bytes of credit that may stand open per stream and direction: what one hop must be able to keep when
            the other end does not read.
        max_streams: streams at a time, those not yet answered included.
        max_requests: unanswered requests at a time.
        value_bytes: bytes of one JSON value, and of the arguments of all unanswered requests together; no less than
            max_frame. Not announced: all ends have the same.

    Raises:
        ValueError: a limit is out of range.
    """

    max_frame: int = 64 * 1024
    window: int = 1 << 20
    max_streams: int = 1024
    max_requests: int = 256
    value_bytes: int = VALUE_BYTES

    def __post_init__(self) -> None:
        if self.max_frame < LEAST_FRAME:
            raise ValueError(f"max_frame is at least {LEAST_FRAME}")
        if min(self.window, self.max_streams, self.max_requests) < 1:
            raise ValueError("a limit is at least 1")
        if self.value_bytes < self.max_frame:
            raise ValueError("value_bytes is at least max_frame")


DEFAULT_MUX_LIMITS = MuxLimits()
