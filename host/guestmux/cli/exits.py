"""Exit statuses, after qrexec-client's (Qubes) and timeout(1)'s."""

from __future__ import annotations

from typing import Final

from guestmux.errors import (
    CallTimeout,
    CommandDisabled,
    CommandNotFound,
    GuestmuxError,
    NoAddress,
    RemoteError,
)
from guestmux.selection import SelectionError
from guestmux_protocol.addresses import AddressError
from guestmux_protocol.errors import JsonError
from guestmux_protocol.patterns import PatternError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TIMEOUT: Final = 124
GUESTMUX_FAILED: Final = 125
REFUSED: Final = 126
NOT_FOUND: Final = 127
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (CommandDisabled, REFUSED),
    (CommandNotFound, NOT_FOUND),
    (RemoteError, FAILED),
    (CallTimeout, TIMEOUT),
    (NoAddress, USAGE),
    (AddressError, USAGE),
    (PatternError, USAGE),
    (SelectionError, USAGE),
    (JsonError, USAGE),
    (GuestmuxError, GUESTMUX_FAILED),
)


def status_of(error: GuestmuxError | RemoteError) -> int:
    """The exit status that tells of an error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))
