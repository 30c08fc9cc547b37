"""The mux dialect: frames, streams with credit, and a fair writer, without I/O. The page is docs/mux.md."""

from guestmux_protocol.mux.errors import MuxError, MuxFull, MuxTooLarge
from guestmux_protocol.mux.frame_reader import FrameReader
from guestmux_protocol.mux.frames import (
    RESET,
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Hello,
    Nak,
    Open,
    Party,
    Reply,
    Request,
    Reset,
    encode,
)
from guestmux_protocol.mux.inbound import Role
from guestmux_protocol.mux.limits import DEFAULT_MUX_LIMITS, MuxLimits
from guestmux_protocol.mux.multiplexer import Multiplexer

__all__ = [
    "DEFAULT_MUX_LIMITS",
    "RESET",
    "Ack",
    "Cancel",
    "Close",
    "Credit",
    "Data",
    "Error",
    "Event",
    "Failure",
    "Frame",
    "FrameReader",
    "Hello",
    "Multiplexer",
    "MuxError",
    "MuxFull",
    "MuxLimits",
    "MuxTooLarge",
    "Nak",
    "Open",
    "Party",
    "Reply",
    "Request",
    "Reset",
    "Role",
    "encode",
]
