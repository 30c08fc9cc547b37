"""Cuts the byte stream from the bus into whole messages, and says how many descriptors each brought."""

from struct import Struct
from typing import Final

import msgspec

from guestmux_transport.errors import MalformedMessage

# Endianness, kind, flags, version, body length, serial, length of the header fields.
FIXED_BYTES: Final = 16
PROTOCOL_VERSION: Final = 1

# Longest header kept to say whose oversized message it was; names are at most 255 bytes, paths are short.
OVERSIZED_HEADER_BYTES: Final = 64 * 1024

_LITTLE, _BIG = ord("l"), ord("B")
_LENGTHS = {_LITTLE: Struct("<I4xI"), _BIG: Struct(">I4xI")}
_UINT32 = {_LITTLE: Struct("<I"), _BIG: Struct(">I")}
_BODY_LENGTH_AT = 4
_LENGTHS_AT = 4
_UNIX_FDS_FIELD = 9
_NO_BODY = bytes(4)


class Frame(msgspec.Struct):
    """One whole message, or the header alone of one that was too large.

    Attributes:
        data: what to decode.
        size: its length on the wire, in bytes.
        oversized: `data` has an empty body; the real one is thrown away.
    """

    data: bytes
    size: int
    oversized: bool = False


class Framer:
    """Holds at most one message and what one read brought after it."""

    def __init__(self, message_bytes: int) -> None:
        """Make one.

        Args:
            message_bytes: the largest message to keep; larger ones are skipped without being held in memory.
        """
        self._limit = message_bytes
        self._buffer = bytearray()
        self._start = 0
        self._skip = 0
        self._need = FIXED_BYTES

    @property
    def missing(self) -> int:
        """How many more bytes complete the message that is under way; 0 when one is complete."""
        return max(0, self._skip + self._need - self.held)

    @property
    def held(self) -> int:
        """How many bytes are in memory."""
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Give the next message, or None when it is not complete.

        Raises:
            MalformedMessage: the stream is not D-Bus; nothing after it can be found.
        """
        available = self.held
        if self._skip or available < FIXED_BYTES:
            self._need = FIXED_BYTES
            return None
        header, size = self._sizes()
        if size > self._limit:
            return self._oversized(header, size, available)
        self._need = size
        if available < size:
            return None
        return Frame(self._cut(size), size)

    def _sizes(self) -> tuple[int, int]:
        start = self._start
        lengths = _LENGTHS.get(self._buffer[start])
        if lengths is None or self._buffer[start + 3] != PROTOCOL_VERSION:
            raise MalformedMessage("what the bus sent is not the D-Bus protocol")
        body, fields = lengths.unpack_from(self._buffer, start + _LENGTHS_AT)
        header = FIXED_BYTES + (fields + 7 & ~7)
        return header, header + body

    def _oversized(self, header: int, size: int, available: int) -> Frame | None:
        if header > OVERSIZED_HEADER_BYTES:
            raise MalformedMessage(f"a message header of {header} bytes")
        self._need = header
        if available < header:
            return None
        data = bytearray(self._cut(header))
        data[_BODY_LENGTH_AT : _BODY_LENGTH_AT + 4] = _NO_BODY
        rest = size - header
        dropped = min(rest, available - header)
        self._start += dropped
        self._skip = rest - dropped
        return Frame(bytes(data), size, oversized=True)

    def _cut(self, size: int) -> bytes:
        end = self._start + size
        data = bytes(memoryview(self._buffer)[self._start : end])
        self._start = end
        if end == len(self._buffer):
            self._buffer.clear()
            self._start = 0
        self._need = FIXED_BYTES
        return data


def count_fds(data: bytes) -> int:
    """Read the UNIX_FDS header field, which both libraries skip.

    Raises:
        MalformedMessage: the header fields are not what the specification says.

    Source: D-Bus specification, "Message Format"; each field is a struct of a byte and a variant of type
    o, s, g or u.
    """
    uint32 = _UINT32[data[0]]
    try:
        end = FIXED_BYTES + uint32.unpack_from(data, 12)[0]
        at = FIXED_BYTES
        while at < end:
            at = at + 7 & ~7
            if data[at] == _UNIX_FDS_FIELD:
                return int(uint32.unpack_from(data, at + 4)[0])
            at = _end_of_value(data, at + 1, uint32)
    except (IndexError, ValueError) as error:
        raise MalformedMessage("the header fields are broken") from error
    return 0


def _end_of_value(data: bytes, at: int, uint32: Struct) -> int:
    """Give the end of a variant of one basic type at `at`: length 1, the type, a NUL, the value."""
    code = data[at + 1 : at + 2]
    value = at + 3
    if code == b"g":
        return value + 1 + data[value] + 1
    aligned = value + 3 & ~3
    if aligned + 4 > len(data) or code not in {b"u", b"s", b"o"}:
        raise ValueError
    number = int(uint32.unpack_from(data, aligned)[0])
    return aligned + 4 if code == b"u" else aligned + 4 + number + 1
