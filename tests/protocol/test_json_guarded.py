"""Requests that are cut off: what reaches the next reader has no command in it that somebody put into a string."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.incoming import Answered
from guestmux_protocol.json_text import encode_guarded
from guestmux_protocol.messages import Request, encode_request
from guestmux_protocol.mux import Open, encode
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect

EVIL = "/home/alice/{'execute':'qmp_capabilities'}{'execute':'guest-shutdown'}\n" + json.dumps(
    {"execute": "x"}
)

PIECES = st.lists(
    st.sampled_from(["'", '"', "{", "}", ":", "\\", "\n", "execute", "guest-ping", "\xff", "a"])
)


def frames(text: str) -> list[bytes]:
    arguments = {"path": text, text: [text]}
    opened = Open(5, "guest-file-download", encode_guarded(arguments), b"{}")
    return [encode(opened), encode_request(Request("guest-file-open", arguments))]


def commands(tail: bytes) -> list[object]:
    """What dialects that begin with this take for a command to be run."""
    came = [*QmpDialect().receive(b'{"execute":"qmp_capabilities"}' + tail), *QgaDialect().receive(tail)]
    return [each for each in came if not isinstance(each, Answered)]


@pytest.mark.parametrize("frame", frames(EVIL), ids=["mux", "qmp"])
def test_no_rest_of_a_request_is_one(frame: bytes) -> None:
    for cut in range(1, len(frame)):
        assert commands(frame[cut:]) == []


@given(PIECES.map("".join), st.data())
def test_nor_of_any(text: str, data: st.DataObject) -> None:
    assert json.loads(encode_guarded(text)) == text
    for frame in frames(text):
        cut = data.draw(st.integers(1, len(frame) - 1))
        assert commands(frame[cut:]) == []
