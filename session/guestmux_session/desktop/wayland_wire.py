"""Wayland's messages as bytes (Wayland Protocol, "Wire Format"), in the machine's byte order. There is no I/O here."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from guestmux_session.desktop.errors import WireError

_HEADER = struct.Struct("=II")
_WORD = struct.Struct("=I")
_SIGNED = struct.Struct("=i")

FIRST_SERVER_ID = 0xFF000000
"""Numbers of objects from here on are given by the server."""


@dataclass(frozen=True)
class Message:
    """A request or an event of an interface.

    Attributes:
        name: as in the protocol's XML.
        signature: a letter for each argument: i int, u uint, f fixed, s string, o object, n new object, a array, h
            descriptor. Of `wl_registry.bind` the new object is `sun`, as it is on the wire.
        creates: the interface of the new object, where there is one.
        destroys: a request after which the object is gone.
    """

    name: str
    signature: str = ""
    creates: str = ""
    destroys: bool = False


@dataclass(frozen=True)
class Interface:
    """An interface: its requests and events by number."""

    name: str
    requests: tuple[Message, ...] = ()
    events: tuple[Message, ...] = ()
    opcodes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        opcodes = {message.name: number for number, message in enumerate(self.requests)}
        object.__setattr__(self, "opcodes", opcodes)


def encode(target: int, opcode: int, signature: str, arguments: Sequence[Any]) -> tuple[bytes, list[int]]:
    """A request, and the descriptors that go with it."""
    body = bytearray()
    fds: list[int] = []
    for kind, value in zip(signature, arguments, strict=True):
        if kind == "h":
            fds.append(value)
        elif kind in "uon":
            body += _WORD.pack(value)
        elif kind == "i":
            body += _SIGNED.pack(value)
        elif kind == "f":
            body += _SIGNED.pack(round(value * 256))
        else:
            data = value if kind == "a" else value.encode() + b"\0"
            body += _WORD.pack(len(data)) + data + b"\0" * (-len(data) % 4)
    return _HEADER.pack(target, (8 + len(body)) << 16 | opcode) + body, fds


def decode(signature: str, untrusted_body: bytes, fds: list[int]) -> list[Any]:
    """An event's arguments; descriptors are taken from the front of `fds`. A string is text, None for a null one.

    Raises:
        WireError: they do not fit.
    """
    arguments: list[Any] = []
    offset = 0
    try:
        for kind in signature:
            if kind == "h":
                arguments.append(fds.pop(0))
                continue
            read = _SIGNED if kind in "if" else _WORD
            (number,) = read.unpack_from(untrusted_body, offset)
            offset += 4
            if kind in "sa":
                arguments.append(_data(kind, untrusted_body[offset : offset + number], number))
                offset += number + (-number % 4)
            else:
                arguments.append(number / 256 if kind == "f" else number)
    except (struct.error, IndexError) as error:
        raise WireError("an event does not hold what its interface says") from error
    return arguments


def _data(kind: str, data: bytes, size: int) -> Any:
    if len(data) < size:
        raise WireError("an event's text is longer than the event")
    if kind == "a":
        return data
    # Clients' texts pass through the compositor unchecked.
    return data[:-1].decode(errors="replace") if size else None


class Cutter:
    """Cuts the server's bytes into events. One is at most 64 KiB, by its header."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def events(self, untrusted_data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Take bytes in; gives the whole events: object, number of the event, body.

        Raises:
            WireError: a header that says less than its own size.
        """
        self._buffer += untrusted_data
        start = 0
        try:
            while len(self._buffer) - start >= 8:
                target, word = _HEADER.unpack_from(self._buffer, start)
                size = word >> 16
                if size < 8:
                    raise WireError("an event is shorter than its header")
                if len(self._buffer) - start < size:
                    return
                body = bytes(self._buffer[start + 8 : start + size])
                start += size
                yield target, word & 0xFFFF, body
        finally:
            del self._buffer[:start]
