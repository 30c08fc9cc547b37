"""The vectors of docs/mux-vectors.json: decoded, encoded, refused, and acted out by both ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guestmux_protocol.mux import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Frame,
    FrameReader,
    Hello,
    Multiplexer,
    MuxError,
    Nak,
    Open,
    Reply,
    Request,
    Reset,
    encode,
)
from guestmux_protocol.mux.stream import STREAM_LIFE, Step
from tests.support.mux_ends import sent
from tests.support.three_ways import three_ways

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mux.md").read_text("utf-8")
VECTORS: dict[str, list[dict[str, Any]]] = json.loads((DOCS / "mux-vectors.json").read_text("utf-8"))
TAIL = Credit(77, 88)


def cases(*kinds: str) -> list[Any]:
    return [pytest.param(case, id=case["what"]) for kind in kinds for case in VECTORS[kind]]


def members(frame: list[Any]) -> list[Any]:
    """A vector's frame with its byte strings."""
    return [bytes.fromhex(member["bin"]) if isinstance(member, dict) else member for member in frame]


def reading() -> Callable[[bytes], list[Frame | str]]:
    """A fresh reader that gives an error as its text."""
    reader = FrameReader()

    def feed(data: bytes) -> list[Frame | str]:
        try:
            return [*reader.feed(data)]
        except MuxError as error:
            return [*error.frames, error.desc]

    return feed


@pytest.mark.parametrize("case", cases("legal", "legal-otherwise-encoded"))
def test_a_legal_frame_is_read(case: dict[str, Any]) -> None:
    tail: list[Frame | str] = [TAIL]
    (frame,) = three_ways(reading, bytes.fromhex(case["hex"]), encode(TAIL), tail)
    assert not isinstance(frame, str)
    written = members(case["frame"])
    if isinstance(frame, Hello):
        written = written[: 7 if frame.mask else 6]
    assert encode(frame) == msgspec.msgpack.encode(written)


@pytest.mark.parametrize("case", cases("legal"))
def test_a_legal_frame_is_written(case: dict[str, Any]) -> None:
    (frame,) = FrameReader().feed(bytes.fromhex(case["hex"]))
    assert encode(frame).hex() == case["hex"]


@pytest.mark.parametrize("case", cases("reset"))
def test_a_reset_is_read(case: dict[str, Any]) -> None:
    data, rest = bytes.fromhex(case["hex"]), bytes.fromhex(case["rest"])
    assert FrameReader().feed(encode(TAIL) + data) == [TAIL, Reset(rest)]
    assert encode(Reset(rest)) == data


@pytest.mark.parametrize("case", cases("illegal"))
def test_an_illegal_frame_is_refused(case: dict[str, Any]) -> None:
    items = three_ways(reading, encode(TAIL) + bytes.fromhex(case["hex"]), encode(TAIL), [])
    assert items[0] == TAIL
    assert [type(item) for item in items[1:]] == [str]


def act(mux: Multiplexer, frame: Frame) -> None:
    """Have one end do what sends a frame."""
    match frame:
        case Request(_, command, arguments, context):
            mux.request(command, arguments, context)
        case Open(_, command, arguments, context):
            mux.open(command, arguments, context)
        case Reply(number, value):
            mux.reply(number, value)
        case Error(number, error_class, desc):
            mux.error(number, error_class, desc)
        case Cancel(number):
            mux.cancel(number)
        case Event(seq, name, data, time):
            mux.event(seq, name, data, time)
        case Ack(seq, number):
            mux.ack(seq, number)
        case Nak(seq, error_class, desc):
            mux.nak(seq, error_class, desc)
        case Data(stream, data):
            mux.send(stream, data)
        case Credit(stream, count):
            mux.grant(stream, count)
        case Close(stream, failure, value):
            mux.close(stream, failure, value)
        case _:
            assert isinstance(frame, Hello)


@pytest.mark.parametrize("case", cases("dialogues"))
def test_a_dialogue(case: dict[str, Any]) -> None:
    ends = {"asker": Multiplexer("asker", party="host"), "server": Multiplexer("server", party="agent")}
    other = {"asker": "server", "server": "asker"}
    *steps, last = case["steps"]
    for step in [*steps, *([] if case["violation"] else [last])]:
        data = bytes.fromhex(step["hex"])
        said = b""
        for frame in FrameReader().feed(data):
            act(ends[step["from"]], frame)
            said += sent(ends[step["from"]])
        assert said == data, "an end says something else"
        ends[other[step["from"]]].receive(data)
    if case["violation"]:
        assert last["from"] == case["violation"]
        with pytest.raises(MuxError):
            ends[other[last["from"]]].receive(bytes.fromhex(last["hex"]))
    else:
        assert [sent(end) for end in ends.values()] == [b"", b""]
        assert [end.over() for end in ends.values()] == [([], [])] * 2


COLUMNS = [Step.ACCEPT, Step.REFUSE, Step.CANCEL, Step.CLOSE, Step.FAIL, Step.PEER_CLOSE, Step.PEER_FAIL]


def test_the_pages_table_of_a_stream_is_the_codes() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if re.match(r"\| \*\*[A-Z_]+\*\*", line)
    ]
    table = {
        row[0].split("**")[1]: {
            step: word.group()
            for step, cell in zip(COLUMNS, row[1:], strict=True)
            if (word := re.match("[A-Z_]+", cell))
        }
        for row in rows
    }
    assert table == {
        state.name: {step: then.name for step, then in steps.items()} for state, steps in STREAM_LIFE.items()
    }


def test_the_pages_example_is_what_the_code_says() -> None:
    example = PAGE[PAGE.index("## An example") : PAGE.index("## Why so")]
    host, guest = Multiplexer("asker"), Multiplexer("server")
    spoken = re.findall(r"\| (host|guest|both) \| `([0-9a-f ]+)` \|", example)
    assert len(spoken) == 7
    for party, text in spoken:
        (frame,) = FrameReader().feed(bytes.fromhex(text))
        for end, other in [(host, guest)] * (party != "guest") + [(guest, host)] * (party != "host"):
            act(end, frame)
            said = sent(end)
            assert said == bytes.fromhex(text)
            other.receive(said)
    assert host.over() == guest.over() == ([], [])
