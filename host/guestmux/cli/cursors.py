"""Where `guestmux events --since last` keeps how far it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from guestmux.cursor_file import CursorError
from guestmux_protocol.addresses import DialAddress, Vsock
from guestmux_protocol.json_text import encode

NAME_DIGITS = 16
"""Hexadecimal digits of a file's name: no two of a host's few streams share one."""


def default_cursor(
    address: DialAddress, patterns: Iterable[str], sessions: Iterable[str], users: Iterable[str]
) -> Path:
    """The file for a guest and what is asked of it; its directory is made.

    Args:
        address: the guest's.
        patterns: the names asked for, in any order.
        sessions: the sessions.
        users: the users.

    Raises:
        CursorError: there can be no such directory.
    """
    where = (
        str(address)
        if isinstance(address, Vsock)
        else f"{type(address).__name__}:{Path(address.path).absolute()}"
    )
    asked = [where, *(sorted(set(names)) for names in (patterns, sessions, users))]
    name = hashlib.sha256(encode(asked)).hexdigest()[:NAME_DIGITS]
    directory = _state_home() / "guestmux"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CursorError(f"{directory}: cannot be made: {error.strerror}") from error
    return directory / f"events-{name}.cursor"


def _state_home() -> Path:
    """As the XDG Base Directory Specification has it: a path that is not absolute counts as not given."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".local" / "state"
