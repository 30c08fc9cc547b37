"""What every server dialect must hold, whatever a host sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hypothesis import strategies as st
from msgspec import UNSET

from guestmux_protocol.incoming import Answered, Incoming
from guestmux_protocol.json_text import decode
from guestmux_protocol.messages import ErrorReply, Reply, Request, encode_request, parse_server_message
from tests.support.json_values import OBJECTS, TEXTS, VALUES
from tests.support.three_ways import Feed

TAIL = b'\n{"execute": "guest-ping", "id": "tail"}'
"""A request after a newline, which ends whatever garbage came before it."""

TAIL_ITEMS: list[Incoming] = [Request("guest-ping", id="tail")]

REQUESTS = st.builds(Request, TEXTS, OBJECTS, VALUES | st.just(UNSET), st.booleans())

# Bytes near what a host sends, so that the search gets beyond the framer.
FRAGMENTS = st.sampled_from(
    [
        b'{"execute": "guest-ping"}', b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}',
        b'{"exec-oob": "guest-ping", "id": 1}', b'{"execute": "x", "id": ', b"[" * 1000, b"]" * 1000,
        b"}", b"{", b"\n", b"\xff", b'"', b"'", b"\\", b"1e999", b"\x00", b"null", b"[]", b'"\\ud800"',
    ]
)  # fmt: skip
STREAMS = st.lists(st.binary(max_size=8) | FRAGMENTS | REQUESTS.map(encode_request), max_size=12)


class Dialect(Protocol):
    """The part of a dialect that takes bytes."""

    def receive(self, data: bytes) -> list[Incoming]:
        """Requests in the host's bytes."""


def feeding(new_dialect: Callable[[], Dialect], *before: bytes) -> Callable[[], Feed[Incoming]]:
    """What makes a fresh dialect's `receive`, after it has taken the bytes `before`."""

    def new() -> Feed[Incoming]:
        dialect = new_dialect()
        for data in before:
            dialect.receive(data)
        return dialect.receive

    return new


def summary(item: Incoming) -> Any:
    """`plain`, without an error's words: those that show a piece of the stream are the framer's affair."""
    message = plain(item)
    return (message.error_class, message.id) if isinstance(message, ErrorReply) else message


def plain(item: Incoming) -> Any:
    """A request as it is; an answer as the message in it, which must be one whole line."""
    if isinstance(item, Request):
        return item
    assert isinstance(item, Answered)
    assert item.data.index(b"\n") == len(item.data) - 1
    message = parse_server_message(decode(item.data))
    assert isinstance(message, Reply | ErrorReply)
    return message
