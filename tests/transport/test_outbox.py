"""The queue of bytes to send: nothing lost, nothing twice, in order, and large pieces not copied."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guestmux_transport.outbox import OWN_PIECE, Outbox

SIZES = st.lists(st.sampled_from([0, 1, 100, OWN_PIECE - 1, OWN_PIECE, OWN_PIECE + 7]), max_size=6)


@given(SIZES, st.integers(20_000, 300_000))
def test_what_goes_in_comes_out(sizes: list[int], step: int) -> None:
    outbox, sent = Outbox(), bytearray()
    pieces = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
    for piece in pieces:
        outbox.add(memoryview(piece))
    assert outbox.size == sum(sizes)
    while outbox.size:
        with outbox.first() as first:
            taken = bytes(first[:step])
        sent += taken
        outbox.drop(len(taken))
    assert sent == b"".join(pieces)


def test_a_large_piece_is_kept_as_it_is() -> None:
    outbox, data = Outbox(), bytes(OWN_PIECE)
    outbox.add(memoryview(data))
    with outbox.first() as first:
        assert first.obj is data


def test_small_ones_are_joined() -> None:
    outbox = Outbox()
    for _ in range(1000):
        outbox.add(memoryview(b"ab"))
    with outbox.first() as first:
        assert len(first) == 2000
