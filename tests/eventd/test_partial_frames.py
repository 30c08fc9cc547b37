"""Frames that agents begin and do not end: bounded for each user, and forgotten with the connection."""

from __future__ import annotations

import pytest

from guestmux_eventd.partial_frames import SMALL, BoundedMultiplexer, PartialFrames
from guestmux_protocol.mux import Multiplexer, MuxError, MuxLimits, encode
from guestmux_protocol.mux.frames import Event

ALICE, BOB = 1000, 1001
MIB = 1 << 20


def agent(frames: PartialFrames, uid: int = ALICE) -> BoundedMultiplexer:
    """eventd's end of the connection to an agent that has greeted."""
    mux = BoundedMultiplexer(MuxLimits(), frames, uid)
    mux.receive(Multiplexer("server").bytes_to_send(1000))
    return mux


def begun(size: int) -> tuple[bytes, bytes]:
    """An event of about this size, and its end."""
    frame = encode(Event(1, "X", bytes(size), 0))
    return frame[:-10], frame[-10:]


def test_what_one_user_begins_is_bounded_and_nobody_elses_affair() -> None:
    frames = PartialFrames(5 * MIB)
    head, _ = begun(2 * MIB)
    for _ in range(2):
        agent(frames).receive(head)
    agent(frames, BOB).receive(head)
    with pytest.raises(MuxError, match="this user's agents began frames of more than 5242880 bytes"):
        agent(frames).receive(head)


def test_what_is_ended_or_given_up_counts_no_more() -> None:
    frames = PartialFrames(5 * MIB)
    head, tail = begun(2 * MIB)
    for _ in range(10):
        ends, leaves = agent(frames), agent(frames)
        ends.receive(head)
        leaves.receive(head)
        assert len(ends.receive(tail)) == 1
        leaves.forget()
        ends.forget()
    assert repr(frames) == "<PartialFrames {}>"


def test_one_of_many_that_went_too_far_at_once_can_be_given_up() -> None:
    frames = PartialFrames(5 * MIB)
    head, _ = begun(2 * MIB)
    agents = [agent(frames) for _ in range(6)]
    for number, mux in enumerate(agents):
        if number < 2:
            mux.receive(head)
        else:
            with pytest.raises(MuxError):
                mux.receive(head)
    for mux in agents:
        mux.forget()
    assert repr(frames) == "<PartialFrames {}>"


def test_what_comes_in_pieces_is_counted_once() -> None:
    frames = PartialFrames(5 * MIB)
    mux = agent(frames)
    head, tail = begun(4 * MIB)
    for at in range(0, len(head), 100_000):
        mux.receive(head[at : at + 100_000])
    assert len(mux.receive(tail)) == 1
    assert repr(frames) == "<PartialFrames {}>"


def test_what_is_usual_is_not_counted() -> None:
    frames = PartialFrames(1)
    head, tail = begun(SMALL - 100)
    mux = agent(frames)
    mux.receive(head)
    assert len(mux.receive(tail)) == 1
