"""Where an X server is, and the cookie that it wants: DISPLAY and Xauthority (X(7), Xsecurity(7), XauReadAuth(3))."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guestmux_session.desktop.display_socket import Address
from guestmux_session.desktop.errors import DisplayUnavailable

MAX_AUTHORITY = 256 * 1024
"""Bytes of an Xauthority file that are read: thousands of entries."""

COOKIE = b"MIT-MAGIC-COOKIE-1"

_DISPLAY = re.compile(r"(?P<host>[^:/]*)(?:/unix)?:(?P<number>\d{1,5})(?:\.(?P<screen>\d{1,3}))?")
_FAMILY_LOCAL, _FAMILY_WILD = 256, 65535
_FIRST_PORT = 6000


@dataclass(frozen=True)
class XAddress:
    """A display.

    Attributes:
        host: empty for this machine.
        number: the display's.
        screen: the screen's.
    """

    host: str
    number: int
    screen: int

    @property
    def sockets(self) -> tuple[Address, ...]:
        """Where to knock, in order."""
        if self.host:
            return ((self.host, _FIRST_PORT + self.number),)
        path = f"/tmp/.X11-unix/X{self.number}"  # noqa: S108 - X servers are there
        return ("\0" + path, path)


def read_display(text: str) -> XAddress:
    """Read what DISPLAY says.

    Raises:
        DisplayUnavailable: it names no display.
    """
    match = _DISPLAY.fullmatch(text)
    if match is None:
        raise DisplayUnavailable(f"DISPLAY names no display: {text[:100]!r}")
    host = "" if match["host"] == "unix" else match["host"]
    return XAddress(host, int(match["number"]), int(match["screen"] or 0))


def read_cookie(address: XAddress, path: str) -> bytes:
    """The cookie for a display.

    Args:
        address: the display.
        path: the Xauthority file; the one in the user's home where empty.

    Returns:
        The cookie; empty where there is none, as servers without access control want it.
    """
    file = Path(path) if path else Path("~/.Xauthority").expanduser()
    try:
        with open(file, "rb", opener=_at_once) as stream:
            untrusted_data = stream.read(MAX_AUTHORITY) or b""
    except OSError:
        return b""
    number, name = str(address.number).encode(), (address.host or socket.gethostname()).encode()
    for family, where, display, kind, cookie in _entries(untrusted_data):
        here = family == _FAMILY_WILD or where == name or (family != _FAMILY_LOCAL and address.host)
        if here and display in (b"", number) and kind == COOKIE:
            return cookie
    return b""


def _at_once(path: str, flags: int) -> int:
    """A pipe would be waited for."""
    return os.open(path, flags | os.O_NONBLOCK)


def _entries(untrusted_data: bytes) -> Iterator[tuple[int, bytes, bytes, bytes, bytes]]:
    offset = 0
    try:
        while offset < len(untrusted_data):
            (family,) = struct.unpack_from(">H", untrusted_data, offset)
            offset += 2
            texts = []
            for _ in range(4):
                (size,) = struct.unpack_from(">H", untrusted_data, offset)
                texts.append(untrusted_data[offset + 2 : offset + 2 + size])
                offset += 2 + size
            yield family, texts[0], texts[1], texts[2], texts[3]
    except struct.error:
        return
