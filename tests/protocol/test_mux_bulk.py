"""Large DATA frames, which are read and written without a codec: the same as with one, however they are cut."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.mux import (
    Ack,
    Credit,
    Data,
    Frame,
    FrameReader,
    MuxError,
    MuxLimits,
    Reply,
    Reset,
    encode,
)
from guestmux_protocol.mux.bulk import BULK, MOST_PIECES, encode_head, read_head
from guestmux_protocol.mux.limits import MOST_NUMBER
from tests.support.three_ways import in_pieces

NUMBERS = st.sampled_from([1, 127, 128, 255, 256, 65535, 65536, 1 << 32, MOST_NUMBER])
SIZES = st.sampled_from([1, BULK - 1, BULK, BULK + 1, 65535, 65536])
CONTENT = bytes(range(256)) * 257
KINDS: dict[str, Callable[[int, int], Frame]] = {
    "data": lambda number, size: Data(number, CONTENT[:size]),
    "reply": lambda number, size: Reply(number, CONTENT[:size]),
    "credit": Credit,
}
SHAPES = st.tuples(st.sampled_from([*KINDS]), NUMBERS, SIZES)


@given(st.lists(SHAPES, max_size=8), st.integers(50, 200_000))
def test_large_frames_among_others_are_read_however_they_are_cut(
    shapes: list[tuple[str, int, int]], size: int
) -> None:
    frames = [KINDS[kind](number, count) for kind, number, count in shapes]
    data = b"".join(encode(frame) for frame in frames)
    reader = FrameReader()
    assert in_pieces(reader.feed, data, size) == frames
    assert reader.partial == 0
    assert reader.feed(b"\xffrest") == [Reset(b"rest")]


@given(NUMBERS, st.sampled_from([BULK, 65535, 65536]))
def test_a_head_is_what_a_codec_writes(number: int, size: int) -> None:
    frame = encode_head(number, size) + CONTENT[:size]
    assert FrameReader().feed(frame) == [Data(number, CONTENT[:size])]
    assert msgspec.msgpack.decode(frame) == [8, number, CONTENT[:size]]


@given(NUMBERS, st.integers(0, 16))
def test_a_head_that_is_not_whole_is_none(number: int, length: int) -> None:
    frame = encode(Data(number, CONTENT[:BULK]))
    head = read_head(frame, 0, BULK)
    assert head
    cut = read_head(frame[: min(length, head.start - 1)], 0, BULK)
    assert cut is None


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x93\x09\x01\xc5\xff\xff",  # no DATA
        b"\x93\x08\x00\xc5\xff\xff",  # no stream has the number 0
        b"\x93\x08\xd0\x01\xc5\xff\xff",  # a signed number
        b"\x93\x08\xcf" + b"\xff" * 8 + b"\xc5\xff\xff",  # beyond 63 bits
        b"\x93\x08\x01\xda\xff\xff",  # a text
        b"\x93\x08\x01\xc5\x00\x01",  # little in it
        b"\x93\x08\x01\xc6\x00\x01\x00\x01",  # more than is taken
    ],
)
def test_what_is_no_large_data_is_left_to_the_codec(beginning: bytes) -> None:
    assert read_head(beginning + bytes(16), 0, 65536) is None


def test_a_number_may_be_written_longer_than_it_need_be() -> None:
    frame = b"\x93\x08\xcd\x00\x01\xc6" + BULK.to_bytes(4) + CONTENT[:BULK]
    assert FrameReader().feed(frame) == [Data(1, CONTENT[:BULK])]


def test_one_that_is_larger_than_announced_comes_by_the_codec_and_is_refused_above() -> None:
    data = CONTENT[:5000]
    assert FrameReader(MuxLimits(max_frame=BULK)).feed(encode(Data(1, data))) == [Data(1, data)]


def test_partial_counts_all_that_came() -> None:
    reader = FrameReader()
    frame = encode(Data(1, CONTENT[:65536]))
    reader.feed(encode(Ack(1, 1)) + frame[:3])
    assert reader.partial == 3
    reader.feed(frame[3:5000])
    assert reader.partial == 5000
    reader.feed(frame[5000:6000])
    assert reader.partial == 6000
    assert reader.feed(frame[6000:] + frame[:7000]) == [Data(1, CONTENT[:65536])]
    assert reader.partial == 7000


def test_many_small_pieces_are_put_together() -> None:
    reader = FrameReader()
    frame = encode(Data(1, CONTENT[:BULK]))
    assert in_pieces(reader.feed, frame, BULK // (4 * MOST_PIECES)) == [Data(1, CONTENT[:BULK])]


def test_what_follows_a_large_frame_is_checked_as_ever() -> None:
    reader = FrameReader()
    with pytest.raises(MuxError) as caught:
        reader.feed(encode(Data(1, CONTENT[:BULK])) + b"\xc0")
    assert caught.value.frames == [Data(1, CONTENT[:BULK])]
