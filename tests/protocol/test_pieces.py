"""A text in pieces: it comes out whole, and costs little more than its bytes."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.pieces import LARGE, Pieces


def put_together(pieces: list[bytes]) -> Pieces:
    together = Pieces()
    for piece in pieces:
        together.add(piece)
    return together


@given(st.lists(st.sampled_from([b"", b"a", b"bc" * 100, b"d" * (LARGE - 1), b"e" * LARGE])), st.booleans())
def test_it_is_what_came_in_the_order_it_came(pieces: list[bytes], looked_at: bool) -> None:
    together = put_together(pieces)
    whole = b"".join(pieces)
    if looked_at:
        assert together.text() == whole
    together.add(b"end")
    assert together.text() == whole + b"end"
    assert len(together) == len(whole) + 3


def test_a_drip_takes_little_more_memory_than_its_bytes() -> None:
    tracemalloc.start()
    together = put_together([bytes([n % 256, n % 255]) for n in range(100_000)])
    held, _ = tracemalloc.get_traced_memory()
    del together
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held - left < 1.1 * 200_000 + 2 * LARGE


def test_a_large_piece_is_not_copied() -> None:
    piece = b"x" * LARGE
    assert put_together([piece]).text() is piece
