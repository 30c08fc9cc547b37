"""Bytes to frames: everything bad is a MuxError, and a hostile stream costs no more memory than one frame may."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestmux_protocol.mux import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    FrameReader,
    Hello,
    MuxError,
    MuxLimits,
    Nak,
    Open,
    Reply,
    Request,
    Reset,
    encode,
)
from guestmux_protocol.mux.frame_reader import FEED_BYTES, KEPT_BUFFER
from guestmux_protocol.mux.limits import DESC_BYTES, FRAME_OVERHEAD, MOST_NUMBER
from tests.support.three_ways import in_pieces

MIB = 1 << 20
SMALL = MuxLimits(value_bytes=MIB)

PATTERN = bytes(range(251)) * 20
NUMBERS = st.integers(0, MOST_NUMBER)
IDS = st.integers(1, MOST_NUMBER)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.binary(max_size=300)
FAILURES = st.builds(Failure, NAMES, TEXTS, st.sampled_from(["host", "eventd", "agent"]))
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Hello, IDS, st.integers(512, MOST_NUMBER), IDS, IDS, IDS),
    st.builds(Request, IDS, NAMES, VALUES, VALUES),
    st.builds(Reply, IDS, VALUES),
    st.builds(Error, IDS, NAMES, TEXTS),
    st.builds(Cancel, IDS),
    st.builds(Event, NUMBERS, NAMES, VALUES, NUMBERS),
    st.builds(Ack, NUMBERS, NUMBERS | st.none()),
    st.builds(Open, IDS, NAMES, VALUES, VALUES),
    st.builds(Data, IDS, st.binary(min_size=1, max_size=300)),
    st.builds(Data, IDS, st.sampled_from([4095, 4096, 5000]).map(lambda size: PATTERN[:size])),
    st.builds(Credit, IDS, IDS),
    st.builds(Close, IDS, FAILURES, st.none()),
    st.builds(Close, IDS, st.none(), VALUES | st.none()),
    st.builds(Nak, NUMBERS, NAMES, TEXTS),
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
TREES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=8) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(FRAMES, max_size=6),
    st.integers(1, 400) | st.sampled_from([4100, 9000]),
    st.binary(max_size=3),
)
def test_what_is_written_is_read_however_it_is_cut(frames: list[Frame], size: int, rest: bytes) -> None:
    data = b"".join(encode(frame) for frame in frames)
    reader = FrameReader()
    assert in_pieces(reader.feed, data, size) == frames
    assert reader.partial == 0
    assert reader.feed(b"\xff" + rest) == [Reset(rest)]
    assert reader.feed(data) == []


@settings(deadline=None)  # byte by byte
@given(st.lists(st.binary(max_size=40) | TREES.map(msgspec.msgpack.encode) | FRAMES.map(encode), max_size=5))
def test_from_any_bytes_come_frames_or_a_mux_error(pieces: list[bytes]) -> None:
    """Nothing else escapes, and it is the same byte by byte."""

    def outcome(size: int) -> list[Frame | str]:
        reader, items = FrameReader(), list[Frame | str]()
        for start in range(0, len(data), size):
            try:
                items += reader.feed(data[start : start + size])
            except MuxError as error:
                return [*items, *error.frames, error.desc]
        return items

    data = b"".join(pieces)
    whole, single = outcome(len(data) or 1), outcome(1)
    # A Reset has what came in the same piece.
    assert [type(item) for item in whole] == [type(item) for item in single]
    assert [item for item in whole if type(item) is not Reset] == [
        item for item in single if type(item) is not Reset
    ]


@given(FRAMES, st.data())
def test_a_frame_with_another_member_is_refused_or_another_frame(frame: Frame, data: st.DataObject) -> None:
    members = msgspec.msgpack.decode(encode(frame))
    members[data.draw(st.integers(0, len(members) - 1))] = data.draw(LEAVES)
    changed = msgspec.msgpack.encode(members)
    try:
        (read,) = FrameReader().feed(changed)
    except MuxError:
        return
    assert encode(read) == changed


def test_partial_is_what_came_of_an_unfinished_frame() -> None:
    reader = FrameReader()
    data = encode(Data(1, b"x" * 100))
    assert reader.partial == 0
    reader.feed(data + data[:50])
    assert reader.partial == 50
    reader.feed(data[50:])
    assert reader.partial == 0
    assert repr(reader) == "<FrameReader partial=0>"
    reader.feed(b"\xff")
    assert repr(reader) == "<FrameReader over>"


def test_large_chunks_are_taken_in_parts() -> None:
    frames = [Data(1, b"x" * 65536)] * 40
    data = b"".join(encode(frame) for frame in frames)
    assert len(data) > 2 * FEED_BYTES
    assert FrameReader().feed(data) == frames
    assert FrameReader().feed(data + b"\xffrest" + b"x" * 2 * FEED_BYTES)[-1] == Reset(
        b"rest" + b"x" * 2 * FEED_BYTES
    )


def spent(pieces: Iterator[bytes], limits: MuxLimits = SMALL) -> tuple[int, str]:
    """Most memory that a reader takes for what it is fed, and what it says about it."""
    reader, said = FrameReader(limits), ""
    tracemalloc.start()
    try:
        for piece in pieces:
            reader.feed(piece)
    except MuxError as error:
        said = error.desc
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, said


def endless(beginning: bytes, piece: bytes) -> Iterator[bytes]:
    """A frame that goes on for far more than the limit."""
    yield beginning
    for _ in range(64 * MIB // len(piece)):
        yield piece


PIECE = 16 * 1024

BOMBS = {
    "a byte string of 4 GiB": (b"\x93\x08\x01\xc6\xff\xff\xff\xff", b"x" * PIECE),
    "a string of 4 GiB": (b"\x94\x03\x01\xdb\xff\xff\xff\xff", b"x" * PIECE),
    "an extension of 4 GiB": (b"\x94\x03\x01\xc9\xff\xff\xff\xff\x01", b"x" * PIECE),
    "an array of 4 GiB members": (b"\xdd\xff\xff\xff\xff", b"\x01" * PIECE),
    "a map of 4 GiB members": (b"\xdf\xff\xff\xff\xff", b"\x01" * PIECE),
    "arrays in arrays": (b"", b"\x98" * PIECE),
    "arrays of one in arrays": (b"", b"\x91" * PIECE),
    "a tree of arrays": (b"\x98" * 20, (b"\x98" + b"\x01" * 8) * (PIECE // 9)),
    "a tree of frames": (b"\x98" * 20, b"\x93\x09\x01\x01" * (PIECE // 4)),
    "empty arrays": (b"\x98" * 20, b"\x90" * PIECE),
    "many byte strings": (b"\x98", b"\xc5\x3f\xfd" + b"x" * (PIECE - 3)),
    "many large byte strings": (b"\x98", b"\xc6\x00\x08\x00\x00" + b"x" * (512 * 1024)),
    "a large byte string and an unfinished one": (b"\x94\x01\xc6\x00\x10\x00\x00" + b"x" * MIB, b"\xc4"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(bomb: str) -> None:
    peak, said = spent(endless(*BOMBS[bomb]))
    assert said
    # The decoder's buffer doubles while the old one is there, and what it is fed and has decoded comes on top.
    assert peak < 3 * (SMALL.value_bytes + FRAME_OVERHEAD + FEED_BYTES)


def test_a_long_text_is_refused() -> None:
    fits = encode(Error(1, "GenericError", "x" * DESC_BYTES))
    assert len(FrameReader().feed(fits)) == 1
    with pytest.raises(MuxError):
        FrameReader().feed(encode(Error(1, "GenericError", "x" * (DESC_BYTES + 1))))


def test_a_value_of_the_size_limit_is_read_and_no_longer_one() -> None:
    fits = encode(Reply(1, b"x" * MIB))
    assert FrameReader(SMALL).feed(fits) == [Reply(1, b"x" * MIB)]
    with pytest.raises(MuxError):
        FrameReader(SMALL).feed(encode(Reply(1, b"x" * (MIB + 1))))


def test_many_usual_frames_take_little_memory() -> None:
    peak, said = spent(iter([encode(Data(1, b"x" * 1000))] * 5000))
    assert not said
    assert peak < 100_000


@pytest.mark.parametrize("behind", [0, 1, 7])
def test_the_memory_of_a_large_frame_is_given_back(behind: int) -> None:
    """`behind`: bytes of the next frame that came with its end."""
    large, following = encode(Reply(1, b"x" * 4 * KEPT_BUFFER)), encode(Data(1, b"following"))
    data = large + following[:behind]
    reader = FrameReader()
    tracemalloc.start()
    try:
        frames = in_pieces(reader.feed, data, 65536)
        assert [type(frame) for frame in frames] == [Reply]
        del frames
        assert tracemalloc.get_traced_memory()[0] < KEPT_BUFFER
    finally:
        tracemalloc.stop()
    assert reader.partial == behind
    assert reader.feed(following[behind:] + following) == [Data(1, b"following")] * 2
