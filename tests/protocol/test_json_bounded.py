"""JSON texts from mux frames: the limits of framed ones hold, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.errors import JsonError
from guestmux_protocol.json_bounded import decode_bounded
from guestmux_protocol.json_text import decode
from guestmux_protocol.limits import Limits

SMALL = Limits(nesting=8, tokens=40)


def outcome(decoder: Callable[[bytes], Any], text: bytes) -> tuple[str, str]:
    try:
        return "value", repr(decoder(text))
    except JsonError as error:
        return "error", error.desc


@pytest.mark.parametrize(
    ("text", "desc"),
    [
        (b"[" * 9 + b"]" * 9, "JSON nesting depth limit exceeded"),
        (b"[" * 9, "JSON nesting depth limit exceeded"),
        (b'{"a":' * 9 + b"1" + b"}" * 9, "JSON nesting depth limit exceeded"),
        (b"[" + b"[]," * 20 + b"1]", "JSON token count limit exceeded"),
        (b"[" + b"1," * 30 + b"1]", "JSON token count limit exceeded"),
        (b'"' + b"[" * 9, "JSON parse error, stray"),
    ],
)
def test_what_is_over_a_limit_or_no_json(text: bytes, desc: str) -> None:
    with pytest.raises(JsonError) as caught:
        decode_bounded(text, SMALL)
    assert caught.value.desc.startswith(desc)


def test_brackets_in_strings_nest_nothing() -> None:
    assert decode_bounded(b'["' + b"[" * 100 + b'"]', SMALL) == ["[" * 100]
    assert decode_bounded(b"[" + b"[]," * 8 + b"1]", SMALL) == [[]] * 8 + [1]


@given(st.binary(max_size=60) | st.text('[]{}",:1a \\', max_size=60).map(str.encode))
def test_nothing_but_a_limit_changes_what_is_read(text: bytes) -> None:
    plain, bounded = outcome(decode, text), outcome(partial(decode_bounded, limits=SMALL), text)
    assert outcome(decode_bounded, text) == plain
    assert bounded == plain or bounded[0] == "error"
    assert plain[0] == "error" or bounded == plain or bounded[1].endswith("limit exceeded")
