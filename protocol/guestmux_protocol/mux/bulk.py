"""DATA frames with much in them, without a codec: it would copy their content once more, in each direction."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from guestmux_protocol.mux.frames import Data
from guestmux_protocol.mux.limits import MOST_NUMBER

BULK: Final = 4096
"""Bytes of content from which on a copy costs more than a few steps of Python."""

MOST_PIECES: Final = 32
"""Pieces of one DATA that are kept as they came; a peer that sends byte by byte makes no more of them."""

DATA_BEGINS: Final = b"\x93\x08"
"""An array of three members, of which the first is DATA's kind."""

_FIXINT: Final = 0x80
_UINT8: Final = 0xCC
_UINT64: Final = 0xCF
_BIN16: Final = 0xC5
_BIN32: Final = 0xC6

_HEAD: Final = Struct(">HBBI")
_LONG_HEAD: Final = Struct(">HBQBI")
"""DATA_BEGINS, a stream's number (below 128, or after its kind), the content's kind and size: as `encode_head` writes
what has 64 KiB or more."""

_DATA_NUMBER: Final = int.from_bytes(DATA_BEGINS)


class Head(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a DATA.

    Attributes:
        stream: the stream's id.
        start: where in the bytes the content begins.
        size: of the content, in bytes.
    """

    stream: int
    start: int
    size: int


@lru_cache(maxsize=256)
def encode_head(stream: int, size: int) -> bytes:
    """The bytes of a DATA that stand before its content.

    Args:
        stream: its id.
        size: bytes of the content; at least BULK.
    """
    number = bytes((stream,)) if stream < _FIXINT else b"\xcf" + stream.to_bytes(8)
    if size < 1 << 16:
        return DATA_BEGINS + number + b"\xc5" + size.to_bytes(2)
    return DATA_BEGINS + number + b"\xc6" + size.to_bytes(4)


def read_head(data: bytes, at: int, most: int) -> Head | None:
    """The beginning of a DATA with BULK bytes or more.

    Args:
        data: bytes of the stream.
        at: where a frame begins.
        most: bytes of content that are taken.

    Returns:
        None for anything else, also for what is not there as a whole, or not as it should be.
    """
    there = len(data) - at
    if there < _HEAD.size:
        return None
    begins, stream, kind, size = _HEAD.unpack_from(data, at)
    if begins != _DATA_NUMBER:
        return None
    start, is_ours = at + _HEAD.size, stream < _FIXINT
    if stream == _UINT64 and there >= _LONG_HEAD.size:
        _, _, stream, kind, size = _LONG_HEAD.unpack_from(data, at)
        start, is_ours = at + _LONG_HEAD.size, True
    if not is_ours or kind != _BIN32 or not 0 < stream <= MOST_NUMBER:
        return _read_other_head(data, at, most)
    return Head(stream, start, size) if BULK <= size <= most else None


def _read_other_head(data: bytes, at: int, most: int) -> Head | None:
    """Whatever else msgpack allows."""
    header = data[at + 2 : at + 16]
    try:
        first = header[0]
        width = 0 if first < _FIXINT else 1 << (first - _UINT8) if _UINT8 <= first <= _UINT64 else -1
        stream = first if not width else int.from_bytes(header[1 : 1 + width])
        kind = header[1 + width]
    except (IndexError, ValueError):
        return None
    start = 2 + width + (2 if kind == _BIN16 else 4)
    if width < 0 or kind not in (_BIN16, _BIN32) or start > len(header) or not 0 < stream <= MOST_NUMBER:
        return None
    size = int.from_bytes(header[2 + width : start])
    return Head(stream, at + len(DATA_BEGINS) + start, size) if BULK <= size <= most else None


class Unfinished:
    """A DATA of which not all came yet.

    Args:
        head: its beginning.
        data: the bytes that the head is in; the content that is there is up to their end.
    """

    __slots__ = ("_pieces", "_stream", "missing", "taken")

    def __init__(self, head: Head, data: bytes, at: int) -> None:
        self._stream = head.stream
        self._pieces: list[bytes | memoryview] = [memoryview(data)[head.start :]]
        self.taken = len(data) - at
        self.missing = head.size - (len(data) - head.start)

    def take(self, data: bytes) -> int:
        """Take what of `data` belongs to it; gives how many bytes those were."""
        piece = memoryview(data)[: self.missing]
        self._pieces.append(piece)
        self.missing -= len(piece)
        self.taken += len(piece)
        if len(self._pieces) > MOST_PIECES:
            self._pieces = [b"".join(self._pieces)]
        return len(piece)

    def frame(self) -> Data:
        """The frame, when nothing is missing."""
        return Data(self._stream, b"".join(self._pieces))
