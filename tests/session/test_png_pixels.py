"""PNGs of all kinds, written by the tests' own encoder, and broken ones."""

import base64
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.png_pixels import MAX_SIDE, NoPng, Pixels, png_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"


OF_PILLOW = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAABytg0kAAAAGUlEQVR4nAXBAQ0AAAjAINwsbvILImlH4h4/gAaBNbRWFQAAAABJRU5ErkJggg=="
)
"""Red, green, blue, and white of half the opacity."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    rows: Iterable[bytes],
    *,
    depth: int = 8,
    color: int = 6,
    interlaced: int = 0,
    extra: bytes = b"",
) -> bytes:
    """A PNG of rows that have their filter's number in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    content = zlib.compress(b"".join(rows))
    # In two pieces, as large ones are.
    pieces = chunk(b"IDAT", content[:5]) + chunk(b"IDAT", content[5:])
    return SIGNATURE + chunk(b"IHDR", header) + extra + pieces + chunk(b"IEND", b"")


def filtered(method: int, row: bytes, above: bytes, step: int) -> bytes:
    """A row as the specification's section 9.2 has it filtered."""
    left = bytes(step) + row
    corner = bytes(step) + above

    def guess(index: int) -> int:
        a, b, c = left[index], above[index], corner[index]
        near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        return [0, a, b, (a + b) // 2, near][method]

    return bytes([method, *((row[index] - guess(index)) % 256 for index in range(len(row)))])


@given(st.data(), st.integers(1, 9), st.integers(1, 6))
def test_every_filter(data: st.DataObject, width: int, height: int) -> None:
    rows = [data.draw(st.binary(min_size=4 * width, max_size=4 * width)) for _ in range(height)]
    methods = [data.draw(st.integers(0, 4)) for _ in rows]
    above = [bytes(4 * width), *rows]
    written = [filtered(methods[index], row, above[index], 4) for index, row in enumerate(rows)]
    assert png_pixels(png(width, height, written)) == Pixels(width, height, b"".join(rows))


def test_one_of_another_program() -> None:
    pixels = bytes.fromhex("ff0000ff00ff00ff0000ffffffffff80")
    assert png_pixels(OF_PILLOW) == Pixels(2, 2, pixels)


PALETTE = chunk(b"PLTE", b"\x01\x02\x03\x04\x05\x06") + chunk(b"tRNS", b"\x07")


@pytest.mark.parametrize(
    ("color", "depth", "row", "pixels", "extra"),
    [
        (0, 1, b"\x80", "ffffffff000000ff", b""),
        (0, 2, b"\x60", "555555ffaaaaaaff", b""),
        (0, 4, b"\x1f", "111111ffffffffff", b""),
        (0, 8, b"\x12\x34", "121212ff343434ff", b""),
        (0, 16, b"\x12\x99\x34\x99", "121212ff343434ff", b""),
        (2, 8, b"\x01\x02\x03\x04\x05\x06", "010203ff040506ff", b""),
        (2, 16, b"\x01\x99\x02\x99\x03\x99\x04\x99\x05\x99\x06\x99", "010203ff040506ff", b""),
        (3, 1, b"\x40", "01020307040506ff", PALETTE),
        (3, 8, b"\x01\x00", "040506ff01020307", PALETTE),
        (4, 8, b"\x01\x02\x03\x04", "0101010203030304", b""),
        (4, 16, b"\x01\x99\x02\x99\x03\x99\x04\x99", "0101010203030304", b""),
        (6, 16, b"\x01\x99\x02\x99\x03\x99\x04\x99" * 2, "0102030401020304", b""),
    ],
)
def test_every_kind(color: int, depth: int, row: bytes, pixels: str, extra: bytes) -> None:
    picture = png_pixels(png(2, 1, [b"\0" + row], color=color, depth=depth, extra=extra))
    assert picture == Pixels(2, 1, bytes.fromhex(pixels))


WHOLE = png(2, 1, [b"\0" + bytes(8)])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GIF89a", "no PNG"),
        (b"", "no PNG"),
        (SIGNATURE, "cut off"),
        (SIGNATURE + chunk(b"IEND", b""), "no header"),
        (WHOLE.replace(b"IHDR", b"IHDX"), "broken"),
        (png(2, 1, [b"\5" + bytes(8)]), "broken"),
        (png(2, 2, [b"\0" + bytes(8)]), "cut off"),
        (png(2, 1, [b"\0" + bytes(8)], color=5), "no known kind"),
        (png(2, 1, [b"\0" + bytes(8)], depth=4), "no known kind"),
        (png(2, 1, [b"\0" + bytes(8)], interlaced=1), "interlaced"),
        (png(0, 1, [b"\0"]), "0x1 pixels"),
        (png(MAX_SIDE + 1, 1, [b"\0" + bytes(4 * MAX_SIDE + 4)]), "257x1 pixels; at most 256x256"),
        (png(2, 1, [b"\0\1\2"], color=3, extra=PALETTE), "a color that it does not have"),
        (png(2, 1, [b"\0\0\0"], color=3), "a color that it does not have"),
        (
            SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 6, 0, 0, 0)) + chunk(b"IEND", b""),
            "cut off",
        ),
        (
            SIGNATURE
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 6, 0, 0, 0))
            + chunk(b"IDAT", b"no zlib")
            + chunk(b"IEND", b""),
            "broken",
        ),
    ],
)
def test_what_is_no_picture(data: bytes, error: str) -> None:
    with pytest.raises(NoPng, match=error):
        png_pixels(data)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_one_that_is_cut_off(end: int) -> None:
    with pytest.raises(NoPng):
        png_pixels(WHOLE[:end])


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(NoPng, match="pixels"):
        png_pixels(png(60_000, 60_000, [bytes(10_000_000)]))


@given(st.binary(max_size=300))
def test_nothing_else_escapes(data: bytes) -> None:
    for text in (data, SIGNATURE + data, WHOLE[:33] + chunk(b"IDAT", zlib.compress(data)) + WHOLE[-12:]):
        with suppress(NoPng):
            png_pixels(text)
