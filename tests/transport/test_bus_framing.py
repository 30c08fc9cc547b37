"""Whole messages out of a byte stream, however it is cut; too large ones skipped without being held."""

import struct

import pytest

from guestmux_transport.bus_codec import Codec
from guestmux_transport.bus_framing import Frame, Framer, count_fds
from guestmux_transport.bus_library import load_library
from guestmux_transport.bus_message import SIGNAL, Message
from guestmux_transport.errors import MalformedMessage

LIMIT = 4096
CODEC = Codec(load_library("dbus-next"), message_bytes=64 * 1024 * 1024)


def message(text: str = "", fds: int = 0) -> bytes:
    signal = Message(
        kind=SIGNAL,
        serial=1,
        path="/a",
        interface="a.b",
        member="Member",
        signature="s",
        body=[text],
        fds=list(range(fds)),
    )
    return bytes(CODEC.encode(signal))


def frames(framer: Framer) -> list[Frame]:
    return list(iter(framer.next_frame, None))


SMALL, MIDDLE, LARGE = message("a"), message("b" * 1000), message("c" * 100_000)


@pytest.mark.parametrize("step", [1, 7, 16, 1000, 10**6])
def test_any_cut_gives_the_same_messages(step: int) -> None:
    stream = SMALL + MIDDLE + LARGE + SMALL + LARGE + MIDDLE
    framer = Framer(LIMIT)
    found = []
    for start in range(0, len(stream), step):
        framer.feed(stream[start : start + step])
        found += frames(framer)
    assert [frame.size for frame in found] == [
        len(part) for part in (SMALL, MIDDLE, LARGE, SMALL, LARGE, MIDDLE)
    ]
    assert [frame.oversized for frame in found] == [False, False, True, False, True, False]
    assert [frame.data for frame in found if not frame.oversized] == [SMALL, MIDDLE, SMALL, MIDDLE]


def test_an_oversized_message_still_says_whose_it_is() -> None:
    framer = Framer(LIMIT)
    framer.feed(LARGE)
    frame = framer.next_frame()
    assert frame is not None
    decoded = CODEC.decode(frame.data, [])
    assert (decoded.member, list(decoded.body)) == ("Member", [])


def test_an_oversized_message_is_not_held() -> None:
    framer = Framer(LIMIT)
    framer.feed(LARGE[:2000])
    assert frames(framer)[0].oversized
    framer.feed(LARGE[2000:50_000])
    assert framer.held == 0
    assert framer.missing >= len(LARGE) - 50_000


def test_missing_says_how_much_to_read() -> None:
    framer = Framer(LIMIT)
    framer.feed(MIDDLE[:100])
    assert framer.next_frame() is None
    assert framer.missing == len(MIDDLE) - 100


@pytest.mark.parametrize("start", [b"HTTP/1.1 400 Bad", b"l\x01\x00\x02" + bytes(12)])
def test_what_is_not_dbus_is_refused(start: bytes) -> None:
    framer = Framer(LIMIT)
    framer.feed(start)
    with pytest.raises(MalformedMessage):
        framer.next_frame()


def test_a_header_without_end_is_refused() -> None:
    framer = Framer(LIMIT)
    framer.feed(b"l\x04\x00\x01" + struct.pack("<III", 0, 1, 60_000_000))
    with pytest.raises(MalformedMessage):
        framer.next_frame()


@pytest.mark.parametrize("count", [0, 1, 16])
def test_descriptors_are_counted_in_the_header(count: int) -> None:
    assert count_fds(message("text", count)) == count


def test_a_broken_header_gives_no_count() -> None:
    whole = bytearray(message("text", 3))
    whole[18] = ord("z")
    with pytest.raises(MalformedMessage):
        count_fds(bytes(whole))
