"""X11's messages as bytes (X Window System Protocol, X.Org, version 11): what the agent asks, and what it is told.

Little-endian, as asked for in the setup. Nothing here does I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from guestmux_session.desktop.errors import DisplayUnavailable, WireError

MAX_PACKET = 4 * 1024 * 1024
"""Bytes of one reply: what a source asks for is less, by the limits in its requests."""

PROPERTY_CHANGE_MASK = 1 << 22
SUBSTRUCTURE_MASK = (1 << 19) | (1 << 20)
"""SubstructureNotify and SubstructureRedirect: whom messages for the window manager go to."""

PROPERTY_NOTIFY = 28
CLIENT_MESSAGE = 33
_ERROR, _REPLY, _GENERIC_EVENT = 0, 1, 35
_SYNTHETIC = 0x80
_HEADER = struct.Struct("<BBHI")


@dataclass(frozen=True)
class Setup:
    """What the server says of itself.

    Attributes:
        id_base, id_mask: what names of resources are made of.
        root: the root window of the screen that was asked for.
    """

    id_base: int
    id_mask: int
    root: int


@dataclass(frozen=True, slots=True)
class Packet:
    """A reply, an error or an event.

    Attributes:
        kind: `reply`, `error` or `event`.
        code: the error's or the event's.
        sequence: the lower 16 bits of the request's number; of an event, of the last one that was handled.
        synthetic: another client sent the event.
        data: all of it, from the first byte.
    """

    kind: str
    code: int
    sequence: int
    synthetic: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Property:
    """A window's property, as far as it was asked for.

    Attributes:
        type: an atom; 0: there is no such property.
        format: bits of an item: 8, 16 or 32.
        value: the bytes.
        left: bytes that were not asked for.
    """

    type: int
    format: int
    value: bytes
    left: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """Items of 32 bits; none where they are of another size."""
        return struct.unpack(f"<{len(self.value) // 4}I", self.value) if self.format == 32 else ()


def padded(data: bytes) -> bytes:
    """Data up to a multiple of four bytes."""
    return data + b"\0" * (-len(data) % 4)


def setup_request(name: bytes, cookie: bytes) -> bytes:
    """What a client says first."""
    head = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
    return head + padded(name) + padded(cookie)


def request(opcode: int, detail: int = 0, body: bytes = b"") -> bytes:
    """A request; of an extension, `detail` is its minor opcode."""
    whole = padded(body)
    return struct.pack("<BBH", opcode, detail, 1 + len(whole) // 4) + whole


def intern_atom(name: str, *, only_if_exists: bool) -> bytes:
    """InternAtom: the number of a name."""
    encoded = name.encode()
    return request(16, only_if_exists, struct.pack("<Hxx", len(encoded)) + encoded)


def get_property(window: int, name: int, longs: int, kind: int = 0) -> bytes:
    """GetProperty: at most so many units of four bytes from its beginning."""
    return request(20, 0, struct.pack("<IIIII", window, name, kind, 0, longs))


def select_events(window: int, mask: int) -> bytes:
    """ChangeWindowAttributes: which events of a window this client wants."""
    return request(2, 0, struct.pack("<III", window, 1 << 11, mask))


def client_message(root: int, window: int, kind: int, *values: int) -> bytes:
    """SendEvent: a message for the window manager about a window (EWMH, "Root Window Properties")."""
    items = (*values, 0, 0, 0, 0, 0)[:5]
    event = struct.pack("<BBHII5I", CLIENT_MESSAGE, 32, 0, window, kind, *items)
    return request(25, 0, struct.pack("<II", root, SUBSTRUCTURE_MASK) + event)


def query_extension(name: str) -> bytes:
    """QueryExtension: its opcode, and whether there is one."""
    encoded = name.encode()
    return request(98, 0, struct.pack("<Hxx", len(encoded)) + encoded)


def get_input_focus() -> bytes:
    """GetInputFocus: the least that a server answers."""
    return request(43)


def get_geometry(window: int) -> bytes:
    """GetGeometry."""
    return request(14, 0, struct.pack("<I", window))


def size_of(reply: bytes) -> tuple[int, int]:
    """GetGeometry's answer: width and height."""
    width, height = struct.unpack_from("<HH", reply, 16)
    return int(width), int(height)


def atom_of(reply: bytes) -> int:
    """InternAtom's answer; 0: nobody knows the name."""
    return int(struct.unpack_from("<I", reply, 8)[0])


def property_of(reply: bytes) -> Property:
    """GetProperty's answer.

    Raises:
        WireError: it does not hold what it says.
    """
    kind, left, items = struct.unpack_from("<III", reply, 8)
    size = items * reply[1] // 8
    if 32 + size > len(reply):
        raise WireError("a property is longer than its message")
    return Property(kind, reply[1], reply[32 : 32 + size], left)


def extension_of(reply: bytes) -> int | None:
    """QueryExtension's answer: the major opcode; None: the server lacks it."""
    return reply[9] if reply[8] else None


class Cutter:
    """Cuts the server's bytes into its answer to the setup, and packets.

    Args:
        screen: whose root window is wanted.
    """

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self._buffer = bytearray()

    def setup(self, untrusted_data: bytes) -> Setup | None:
        """Take bytes in; gives the setup when it is whole. What follows it stays for `packets`.

        Raises:
            DisplayUnavailable: the server refuses.
            WireError: it speaks something else.
        """
        self._buffer += untrusted_data
        if len(self._buffer) < 8:
            return None
        # 256 KiB at most, by the size of the field.
        size = 8 + 4 * int.from_bytes(self._buffer[6:8], "little")
        if len(self._buffer) < size:
            return None
        whole = bytes(self._buffer[:size])
        del self._buffer[:size]
        return _read_setup(whole, self._screen)

    def packets(self, untrusted_data: bytes) -> Iterator[Packet]:
        """Take bytes in; gives what is whole.

        Raises:
            WireError: one is too long.
        """
        self._buffer += untrusted_data
        start = 0
        try:
            while len(self._buffer) - start >= 32:
                size = self._size(start)
                if len(self._buffer) - start < size:
                    return
                data = bytes(self._buffer[start : start + size])
                start += size
                yield _read_packet(data)
        finally:
            del self._buffer[:start]

    def _size(self, start: int) -> int:
        code, _, _, length = _HEADER.unpack_from(self._buffer, start)
        size = 32 + 4 * int(length) if code in (_REPLY, _GENERIC_EVENT) else 32
        if size > MAX_PACKET:
            raise WireError(f"a message of {size} bytes is too long")
        return size


def _read_packet(data: bytes) -> Packet:
    code, detail, sequence, _ = _HEADER.unpack_from(data)
    if code == _ERROR:
        return Packet("error", detail, sequence, False, data)
    if code == _REPLY:
        return Packet("reply", 0, sequence, False, data)
    return Packet("event", code & ~_SYNTHETIC, sequence, bool(code & _SYNTHETIC), data)


def _read_setup(data: bytes, screen: int) -> Setup:
    if data[0] != 1:
        # A refusal has the length of its reason beside its first byte; "authenticate" has none.
        reason = data[8 : 8 + data[1]] if data[0] == 0 else data[8:]
        text = reason.rstrip(b"\0\n").decode("latin-1")
        raise DisplayUnavailable(f"the X server refuses: {text[:200]}")
    try:
        id_base, id_mask = struct.unpack_from("<II", data, 12)
        (vendor,) = struct.unpack_from("<H", data, 24)
        screens, formats = data[28], data[29]
        offset = 40 + vendor + (-vendor % 4) + 8 * formats
        for _ in range(min(screen, screens - 1)):
            offset = _after_screen(data, offset)
        (root,) = struct.unpack_from("<I", data, offset)
    except (struct.error, IndexError) as error:
        raise WireError("its setup does not hold what it says") from error
    return Setup(id_base, id_mask, root)


def _after_screen(data: bytes, offset: int) -> int:
    depths = data[offset + 39]
    offset += 40
    for _ in range(depths):
        (visuals,) = struct.unpack_from("<H", data, offset + 2)
        offset += 8 + 24 * int(visuals)
    return offset
