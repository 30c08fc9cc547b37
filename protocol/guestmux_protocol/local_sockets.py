"""Texts that name a socket in the guest, as `tcp:22` or `unix:/run/x`, and their parsed forms.

Nothing beyond the machine's own loopback has a form, and nothing is looked up in a DNS.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final, TypeAlias

from guestmux_protocol.addresses import UNIX_PATH_BYTES, AddressError
from guestmux_protocol.errors import MAX_SHOWN

LOCALHOST: Final = ("127.0.0.1", "::1")
"""What `localhost` means, in the order in which it is tried."""

MAX_PORT: Final = 65535

_FORMS = "unix:/PATH, unix:@NAME, tcp:PORT, tcp:localhost:PORT, tcp:127.0.0.1:PORT, tcp:[::1]:PORT"


@dataclass(frozen=True, slots=True)
class LocalUnix:
    """A unix socket.

    Attributes:
        path: absolute; or `@` and a name, for one in the abstract namespace (unix(7)).
    """

    path: str

    @property
    def address(self) -> str:
        """As bind and connect take it."""
        return "\0" + self.path[1:] if self.path.startswith("@") else self.path


@dataclass(frozen=True, slots=True)
class LocalTcp:
    """A TCP port.

    Attributes:
        addresses: loopback addresses, to be tried in this order.
        port: its number.
    """

    addresses: tuple[str, ...]
    port: int


LocalSocket: TypeAlias = LocalUnix | LocalTcp


def parse_local_socket(untrusted_text: str) -> LocalSocket:
    """Parse where in the guest a connection is to go.

    Raises:
        AddressError: it has none of the accepted forms, or leads out of the machine.
    """
    kind, _, rest = untrusted_text.partition(":")
    if kind == "unix":
        return _unix(untrusted_text, rest)
    if kind == "tcp":
        return _tcp(untrusted_text, rest)
    raise _refused(untrusted_text, f"accepted are {_FORMS}")


def _unix(text: str, path: str) -> LocalUnix:
    if path[:1] not in ("/", "@") or len(path) < 2 or "\0" in path:
        raise _refused(text, "a full path must follow the colon, or '@' and a name")
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        raise _refused(text, "a path cannot have half a character in it") from None
    if length > UNIX_PATH_BYTES:
        raise _refused(text, f"a socket's path has at most {UNIX_PATH_BYTES} bytes")
    return LocalUnix(path)


def _tcp(text: str, rest: str) -> LocalTcp:
    host, _, digits = rest.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) <= MAX_PORT):
        raise _refused(text, f"a port from 1 to {MAX_PORT} must stand at its end")
    return LocalTcp(_addresses(text, host), int(digits))


def _addresses(text: str, host: str) -> tuple[str, ...]:
    if host in ("", "localhost"):
        return LOCALHOST
    if host == "[::1]":
        return ("::1",)
    try:
        if IPv4Address(host).is_loopback:
            return (host,)
    except AddressValueError:
        pass
    raise _refused(text, "only the loopback is reached: 127.0.0.1, [::1] or localhost")


def _refused(text: str, reason: str) -> AddressError:
    return AddressError(f"{text[:MAX_SHOWN]!r} is no socket of the guest's: {reason}")
