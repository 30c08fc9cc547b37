"""The D-Bus library: dbus-fast where it is installed, else dbus-next. No other module imports either.

Only what turns one message into bytes and back is used of them; their connections have faults that cannot be
closed from outside (`bus_socket`, `bus_calls` say which).

dbus-fast's compiled decoder believes the lengths in a message: bytes that are no valid message can crash the process
(seen with 5.2.0). dbus-daemon and dbus-broker check every message whole, body included, before they pass it on, so
no peer can do that, only the bus itself. dbus-next decodes in Python and raises.
"""

import importlib
import os
import struct
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, Protocol

from guestmux_transport.bus_message import Message
from guestmux_transport.errors import BusUnavailable

LIBRARIES = ("dbus-fast", "dbus-next")
LIBRARY_VARIABLE = "GUESTMUX_DBUS_LIBRARY"

# Both libraries remember every signature they ever saw, and a hostile peer can send ever new ones.
_SIGNATURES_REMEMBERED = 1024
# Looking costs about as much as a tenth of decoding a message.
_MESSAGES_BETWEEN_LOOKS = 64


class LibraryVariant(Protocol):
    """What both libraries give for a "v"."""

    signature: str
    value: Any


class _Kind(Protocol):
    value: int


class LibraryMessage(Protocol):
    """What both libraries give for a message."""

    message_type: _Kind
    serial: int
    flags: int
    reply_serial: int | None
    sender: str | None
    destination: str | None
    path: str | None
    interface: str | None
    member: str | None
    error_name: str | None
    signature: str
    body: list[Any]

    def _marshall(self, negotiate_unix_fd: bool) -> bytearray: ...


class _SignatureMemory:
    """Keeps a library's memory of signatures from growing for ever."""

    def __init__(self, signature_module: Any) -> None:
        self._next: dict[str, Any] = getattr(signature_module.SignatureTree, "_cache", {})
        self._fast: Any = getattr(signature_module, "get_signature_tree", None)
        self._until_look = _MESSAGES_BETWEEN_LOOKS

    def __len__(self) -> int:
        return len(self._next) + (self._fast.cache_info().currsize if self._fast else 0)

    def bound(self) -> None:
        """Forget all of them when there are too many; called once for each message decoded."""
        self._until_look -= 1
        if self._until_look:
            return
        self._until_look = _MESSAGES_BETWEEN_LOOKS
        if len(self) > _SIGNATURES_REMEMBERED:
            self._next.clear()
            if self._fast:
                self._fast.cache_clear()


class Library:
    """One of the two, by its name on PyPI."""

    def __init__(self, name: str) -> None:
        """Load it.

        Raises:
            ImportError: it is not installed.
        """
        self.name = name
        package = name.replace("-", "_")
        # First of all: its modules import each other in a circle, which closes only from here (lean_imports.py).
        importlib.import_module(f"{package}.errors")
        signature = importlib.import_module(f"{package}.signature")
        constants = importlib.import_module(f"{package}.constants")
        self._message = importlib.import_module(f"{package}.message").Message
        self._unmarshaller = importlib.import_module(f"{package}._private.unmarshaller").Unmarshaller
        self._kinds = {kind.value: kind for kind in constants.MessageType}
        self._flags = {value: constants.MessageFlag(value) for value in range(8)}
        self._signatures = _SignatureMemory(signature)
        self._extra: dict[str, Any] = {} if name == "dbus-next" else {"validate": False}
        self.variant: Callable[[str, Any], LibraryVariant] = signature.Variant

    @property
    def signatures_remembered(self) -> int:
        """How many signatures the library has in memory; kept from growing for ever."""
        return len(self._signatures)

    def marshal(self, message: Message, body: list[Any]) -> bytearray:
        """Encode a message whose names are checked and whose body is made of the library's own variants.

        Raises:
            LIBRARY_ERRORS: the body is not what the signature says.
        """
        library_message: LibraryMessage = self._message(
            message_type=self._kinds[message.kind],
            serial=message.serial,
            flags=self._flags[message.flags],
            reply_serial=message.reply_serial,
            destination=message.destination,
            path=message.path,
            interface=message.interface,
            member=message.member,
            error_name=message.error_name,
            signature=message.signature,
            body=body,
            unix_fds=message.fds,
            **self._extra,
        )
        return library_message._marshall(negotiate_unix_fd=True)  # noqa: SLF001 - the one way both offer

    def unmarshal(self, data: bytes) -> LibraryMessage:
        """Decode exactly one whole message.

        Raises:
            LIBRARY_ERRORS: it is none; the libraries have no one error for that.
        """
        message: LibraryMessage | None = self._unmarshaller(BytesIO(data)).unmarshall()
        self._signatures.bound()
        if message is None:
            raise EOFError
        return message


# What the libraries, or Python below them, raise for bytes or values that they do not expect; their own
# exception classes are subclasses of ValueError, TypeError and RuntimeError.
LIBRARY_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    OSError,
    RuntimeError,
    struct.error,
)


@cache
def load_library(name: str | None = None) -> Library:
    """Give the library by name, else the one that GUESTMUX_DBUS_LIBRARY names, else the faster one installed.

    Raises:
        BusUnavailable: it is not installed, or not one of LIBRARIES.
    """
    wanted = name or os.environ.get(LIBRARY_VARIABLE)
    if wanted and wanted not in LIBRARIES:
        raise BusUnavailable(
            f"unknown D-Bus library {wanted!r}: {LIBRARY_VARIABLE} takes {' or '.join(LIBRARIES)}"
        )
    for candidate in [wanted] if wanted else LIBRARIES:
        try:
            return Library(candidate)
        except ImportError:
            continue
    raise BusUnavailable(f"no D-Bus library is installed: pip install {wanted or 'guestmux[guest]'}")
