"""What monitors say of themselves, and timings that are made for them."""

from __future__ import annotations

import pytest

from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop.cvt import made_mode
from guestmux_session.desktop.edid import read_edid
from guestmux_session.desktop.errors import WireError


def edid(name: bytes, letters: int) -> bytes:
    block = bytearray(128)
    block[:8] = b"\0\xff\xff\xff\xff\xff\xff\0"
    block[8:10] = letters.to_bytes(2, "big")
    block[72:90] = b"\0\0\0\xfc\0" + name.ljust(13)
    return bytes(block)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (edid(b"QEMU Monitor\n", 0x4914), ("RHT", "QEMU Monitor")),
        (edid(b"\x1b[31mred\n", 0), ("", "\ufffd[31mred")),
        (edid(b"thirteen more", 0x7FFF), ("", "thirteen more")),
        (edid(b"cut", 0x4914)[:127], ("", "")),
        (b"\xff" * 128, ("", "")),
        (b"", ("", "")),
    ],
)
def test_who_made_it_and_what_it_is(block: bytes, told: tuple[str, str]) -> None:
    assert read_edid(block) == told


def test_a_mode_as_cvt_has_it() -> None:
    """The figures of VESA's own table, with reduced blanking."""
    mode = made_mode(1920, 1200, 60.0)
    assert (mode.horizontal, mode.vertical) == ((1968, 2000, 2080), (1203, 1209, 1235))
    assert abs(mode.clock - 154_128_000) < 200_000
    assert abs(mode.refresh - 60.0) < 0.01


def test_refresh_of_odd_modes() -> None:
    interlaced = randr.Mode(1, 1920, 1080, 74_250_000, (2008, 2052, 2200), (1084, 1094, 1125), flags=0x10)
    assert round(interlaced.refresh) == 60
    doubled = randr.Mode(1, 320, 240, 12_587_500, (1, 1, 400), (1, 1, 262), flags=0x20)
    assert round(doubled.refresh) == 60
    assert randr.Mode(1, 640, 480, 1, (0, 0, 0), (0, 0, 0)).refresh == 0


@pytest.mark.parametrize(
    "read",
    [
        randr.resources_of,
        lambda reply: randr.output_of(1, reply),
        lambda reply: randr.crtc_of(1, reply),
    ],
)
@pytest.mark.parametrize("size", [32, 33, 100])
def test_what_says_more_than_it_has(read: object, size: int) -> None:
    assert callable(read)
    with pytest.raises(WireError):
        read(b"\xff" * size)
