"""A PNG as pixels (W3C PNG Specification, third edition), so that the desktop's own libraries parse no host's file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAX_SIDE = 256
"""Pixels of a side: twice what desktops show of a notification's picture on a screen of twice the density."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGBA: 4}
_DEPTHS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGBA: (8, 16),
}


class NoPng(Exception):
    """It is no PNG, or none that is taken here; why."""


@dataclass(frozen=True)
class Pixels:
    """A picture.

    Attributes:
        data: rows from the top, of four bytes a pixel: red, green, blue, opacity.
    """

    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    color: int

    @property
    def row_bytes(self) -> int:
        return (self.width * _CHANNELS[self.color] * self.depth + 7) // 8

    @property
    def pixel_bytes(self) -> int:
        """How far back the byte is that a filter goes by; at least one."""
        return max(1, _CHANNELS[self.color] * self.depth // 8)


def png_pixels(untrusted_data: bytes) -> Pixels:
    """Read a PNG, of any kind but interlaced ones. It takes a tenth of a second for the largest.

    Raises:
        NoPng: it is none, is broken, or has more than MAX_SIDE pixels at a side.
    """
    chunks = list(_chunks(untrusted_data))
    named = dict(chunks)
    header = _header(chunks)
    content = b"".join(body for kind, body in chunks if kind == b"IDAT")
    rows = _unfiltered(_inflated(content, header), header)
    palette = _palette(named.get(b"PLTE", b""), named.get(b"tRNS", b"")) if header.color == _PALETTE else []
    data = b"".join(_as_rgba(row, header, palette) for row in rows)
    return Pixels(header.width, header.height, data)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(_SIGNATURE):
        raise NoPng("it is no PNG")
    place = len(_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if len(data) < place + _CHUNK.size:
            raise NoPng("the PNG is cut off")
        length, kind = _CHUNK.unpack_from(data, place)
        body = data[place + _CHUNK.size : place + _CHUNK.size + length]
        check = data[place + _CHUNK.size + length : place + _CHUNK.size + length + 4]
        if zlib.crc32(kind + body).to_bytes(4, "big") != check:
            raise NoPng("the PNG is cut off or broken")
        yield kind, body
        place += _CHUNK.size + length + 4


def _header(chunks: list[tuple[bytes, bytes]]) -> _Header:
    kind, body = chunks[0]
    if kind != b"IHDR" or len(body) != _HEADER.size:
        raise NoPng("the PNG has no header")
    width, height, depth, color, *methods, interlaced = _HEADER.unpack(body)
    if depth not in _DEPTHS.get(color, ()) or any(methods):
        raise NoPng("the PNG is of no known kind")
    if interlaced:
        raise NoPng("the PNG is interlaced; save it without that")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise NoPng(f"the PNG has {width}x{height} pixels; at most {MAX_SIDE}x{MAX_SIDE} are taken")
    return _Header(width, height, depth, color)


def _inflated(content: bytes, header: _Header) -> bytes:
    size = header.height * (header.row_bytes + 1)
    try:
        data = zlib.decompressobj().decompress(content, size)
    except zlib.error as error:
        raise NoPng("the PNG is broken") from error
    if len(data) != size:
        raise NoPng("the PNG is cut off")
    return data


def _unfiltered(data: bytes, header: _Header) -> Iterator[bytes]:
    above = bytes(header.row_bytes)
    for start in range(0, len(data), header.row_bytes + 1):
        above = _row(data[start], data[start + 1 : start + 1 + header.row_bytes], above, header.pixel_bytes)
        yield above


def _row(method: int, filtered: bytes, above: bytes, step: int) -> bytes:
    """A row as it was before filtering (section 9.2): each byte was told as its distance from a guess."""
    row = bytearray(filtered)
    for index in range(len(row)):
        left = row[index - step] if index >= step else 0
        if method == 1:
            guess = left
        elif method == 2:
            guess = above[index]
        elif method == 3:
            guess = (left + above[index]) // 2
        elif method == 4:
            guess = _paeth(left, above[index], above[index - step] if index >= step else 0)
        elif method == 0:
            break
        else:
            raise NoPng("the PNG is broken")
        row[index] = (row[index] + guess) & 0xFF
    return bytes(row)


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    to_left, to_above, to_corner = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    return above if to_above <= to_corner else corner


def _palette(colors: bytes, opacities: bytes) -> list[bytes]:
    whole = [colors[start : start + 3] for start in range(0, len(colors) - 2, 3)]
    alphas = opacities.ljust(len(whole), b"\xff")
    return [color + alphas[index : index + 1] for index, color in enumerate(whole)]


def _as_rgba(row: bytes, header: _Header, palette: list[bytes]) -> bytes:
    samples = _samples(row, header)
    if header.color == _PALETTE:
        if max(samples) >= len(palette):
            raise NoPng("the PNG names a color that it does not have")
        return b"".join(palette[sample] for sample in samples)
    if header.color == _RGBA:
        return samples
    rgba = bytearray(b"\xff" * (4 * header.width))
    channels = _CHANNELS[header.color]
    for place in range(3):
        # One of gray stands for all three colors.
        rgba[place::4] = samples[place if header.color == _RGB else 0 :: channels]
    if header.color == _GRAY_ALPHA:
        rgba[3::4] = samples[1::2]
    return bytes(rgba)


def _samples(row: bytes, header: _Header) -> bytes:
    """A row's numbers, each a byte: of 16 bits the upper ones; gray of fewer bits is spread over all of a byte."""
    depth = header.depth
    if depth >= 8:
        return row[:: depth // 8]
    most = (1 << depth) - 1
    scale = 1 if header.color == _PALETTE else 255 // most
    shifts = range(8 - depth, -1, -depth)
    spread = bytes((byte >> shift & most) * scale for byte in row for shift in shifts)
    return spread[: header.width]
