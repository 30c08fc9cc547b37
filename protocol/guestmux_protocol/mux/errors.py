"""What can go wrong with a mux connection: the peer broke a rule, or there is no room just now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestmux_protocol.errors import GuestmuxError, ProtocolError

if TYPE_CHECKING:
    from guestmux_protocol.mux.frames import Frame


class MuxError(ProtocolError):
    """The peer sent what the mux dialect does not allow. The connection is over: what follows has no meaning.

    Attributes:
        frames: what came whole and legal in the same bytes before it, not given to anybody yet.
    """

    def __init__(self, desc: str) -> None:
        super().__init__(desc)
        self.frames: list[Frame] = []


class MuxFull(GuestmuxError):
    """A bound is reached that the peer will move: try again when frames came from it, or bytes went out."""


class MuxTooLarge(GuestmuxError):
    """A value or a name that no frame may carry; trying again is in vain."""
