"""X11's bytes: what servers say, whole and in pieces, and what none should."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.errors import DisplayError, DisplayUnavailable, WireError
from guestmux_session.desktop.x11_address import read_cookie, read_display

VENDOR = b"tests"
REFUSAL = struct.pack("<BBHHH", 0, 5, 11, 0, 2) + b"No!\n\0\0\0\0"


def setup(*roots: int) -> bytes:
    """A server with these screens, each of two depths with one visual."""
    depth = struct.pack("<BxHxxxx", 24, 1) + bytes(24)
    screens = b"".join(struct.pack("<I", root) + bytes(35) + b"\2" + 2 * depth for root in roots)
    body = struct.pack("<IIIIHHBB", 1, 0x200000, 0x1FFFFF, 0, len(VENDOR), 65535, len(roots), 1) + bytes(10)
    body += x11.padded(VENDOR) + bytes(8) + screens
    return struct.pack("<BxHHH", 1, 11, 0, len(body) // 4) + body


EVENT = struct.pack("<BBHII", 28, 0, 7, 1, 2) + bytes(20)
REPLY = struct.pack("<BBHI", 1, 8, 8, 1) + bytes(24) + b"abcd"
ERROR = struct.pack("<BBH", 0, 3, 9) + bytes(28)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_setup_and_packets_in_pieces(size: int) -> None:
    cutter = x11.Cutter(1)
    said = setup(5, 6)
    found = [cutter.setup(said[at : at + size]) for at in range(0, len(said), size)]
    assert found[-1] == x11.Setup(0x200000, 0x1FFFFF, 6)
    stream = EVENT + REPLY + ERROR + bytes([28 | 0x80]) + EVENT[1:] + EVENT[:5]
    packets = [one for at in range(0, len(stream), size) for one in cutter.packets(stream[at : at + size])]
    assert [(one.kind, one.code, one.sequence, one.synthetic) for one in packets] == [
        ("event", 28, 7, False),
        ("reply", 0, 8, False),
        ("error", 3, 9, False),
        ("event", 28, 7, True),
    ]


def test_a_screen_that_there_is_not_is_the_last() -> None:
    found = x11.Cutter(9).setup(setup(5, 6))
    assert found is not None
    assert found.root == 6


def test_a_refusal_says_why() -> None:
    with pytest.raises(DisplayUnavailable, match="No!"):
        x11.Cutter(0).setup(REFUSAL)


def test_what_is_too_long() -> None:
    with pytest.raises(WireError, match="too long"):
        list(x11.Cutter(0).packets(struct.pack("<BBHI", 1, 0, 0, 1 << 31) + bytes(24)))


def test_a_property_is_what_is_there() -> None:
    reply = struct.pack("<BBHIIII", 1, 32, 0, 2, 33, 12, 2) + bytes(12) + struct.pack("<II", 7, 8)
    found = x11.property_of(reply)
    assert (found.type, found.left, found.numbers) == (33, 12, (7, 8))
    with pytest.raises(WireError):
        x11.property_of(reply[:-4])
    assert x11.Property(31, 8, b"abcd", 0).numbers == ()


@given(st.binary(max_size=400), st.integers(0, 3))
def test_from_any_bytes_nothing_but_our_errors(data: bytes, screen: int) -> None:
    cutter = x11.Cutter(screen)
    with suppress(DisplayError):
        if cutter.setup(data) is not None:
            list(cutter.packets(data))
    with suppress(DisplayError):
        list(x11.Cutter(0).packets(data))


@pytest.mark.parametrize(
    ("text", "host", "number", "screen", "first"),
    [
        (":0", "", 0, 0, "\0/tmp/.X11-unix/X0"),
        ("unix:1.2", "", 1, 2, "\0/tmp/.X11-unix/X1"),
        ("host/unix:3", "host", 3, 0, ("host", 6003)),
        ("localhost:10.0", "localhost", 10, 0, ("localhost", 6010)),
    ],
)
def test_displays(text: str, host: str, number: int, screen: int, first: object) -> None:
    address = read_display(text)
    assert (address.host, address.number, address.screen) == (host, number, screen)
    assert address.sockets[0] == first


@pytest.mark.parametrize("text", ["", "0", ":", ":x", ":0.x", "a:b:0", ":999999"])
def test_what_is_no_display(text: str) -> None:
    with pytest.raises(DisplayUnavailable):
        read_display(text)


def entry(family: int, *parts: bytes) -> bytes:
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(part)) + part for part in parts)


def test_the_cookie_for_a_display(tmp_path: object) -> None:
    path = f"{tmp_path}/authority"
    kind = b"MIT-MAGIC-COOKIE-1"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(entry(65535, b"", b"1", kind, b"one") + entry(65535, b"", b"2", b"XDM", b"x"))
        file.write(entry(65535, b"", b"", kind, b"any") + b"\0\0\xff")
    assert read_cookie(read_display(":1"), path) == b"one"
    assert read_cookie(read_display(":2"), path) == b"any"
    assert read_cookie(read_display(":2"), "/nowhere") == b""


def test_a_folder_has_no_cookie_and_is_not_held_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    assert read_cookie(read_display(":1"), str(tmp_path)) == b""
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_pipe_has_no_cookie(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert read_cookie(read_display(":1"), str(path)) == b""
    writer = os.open(path, os.O_RDWR)
    assert read_cookie(read_display(":1"), str(path)) == b""
    os.close(writer)
