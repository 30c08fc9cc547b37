"""What calls and streams over a mux connection raise."""

from __future__ import annotations

from guestmux_protocol.errors import GuestmuxError, RemoteError


class MuxRefused(RemoteError):
    """The peer answered with an error."""


class StreamFailed(RemoteError):
    """A stream was broken.

    Args:
        error_class: QMP's error class.
        desc: the words of the party that broke it.
        party: `host`, `eventd` or `agent`.
    """

    def __init__(self, error_class: str, desc: str, party: str) -> None:
        super().__init__(error_class, desc)
        self.party = party


class MuxLost(GuestmuxError):
    """The connection ended; what was asked and not answered may or may not have run."""
