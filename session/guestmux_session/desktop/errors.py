"""What can go wrong between the agent and a display server."""

from __future__ import annotations

from guestmux_protocol.errors import GuestmuxError


class DisplayError(GuestmuxError):
    """Root of what display connections raise."""


class DisplayUnavailable(DisplayError):
    """The session has no such display server, it refused us, or lacks what is needed of it."""


class DisplayLost(DisplayError):
    """The connection ended; what was asked may or may not have happened."""


class RequestRefused(DisplayError):
    """The server answered with an error, most often about a window that is gone.

    Args:
        code: X's error code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the X server refused: error {code}")
        self.code = code


class WireError(DisplayError):
    """Bytes of the server's that break its protocol, or a limit of ours."""
