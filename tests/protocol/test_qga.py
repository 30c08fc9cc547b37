"""The qga dialect: requests and refusals in order, the sync mark, and a host that sends anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from guestmux_protocol.limits import Limits
from guestmux_protocol.messages import ErrorReply, Request, encode_request
from guestmux_protocol.qga import QgaDialect
from tests.support.dialects import REQUESTS, STREAMS, TAIL, TAIL_ITEMS, feeding, plain, summary
from tests.support.three_ways import in_pieces, three_ways


def refused(desc: str, request_id: Any = UNSET) -> ErrorReply:
    return ErrorReply("GenericError", desc, request_id)


def receive(data: bytes) -> list[Any]:
    items = three_ways(feeding(QgaDialect), data, TAIL, TAIL_ITEMS)
    return [plain(item) for item in items]


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"", []),
        (b'\xff{"execute": "guest-sync", "arguments": {"id": 1}}', [Request("guest-sync", {"id": 1})]),
        (b'{"execute": "a"}{"execute": "b", "id": 0}', [Request("a"), Request("b", id=0)]),
        (b'{"execute": "a"', []),
        (b"[]", [refused("QMP input must be a JSON object")]),
        (
            b'{"execute": "a", "id": 1}{"execute": 2, "id": 2}{"execute": "c", "id": 3}',
            [
                Request("a", id=1),
                refused("QMP input member 'execute' must be a string", 2),
                Request("c", id=3),
            ],
        ),
        (b'{"exec-oob": "a", "id": 1}', [refused("QMP input member 'exec-oob' is unexpected", 1)]),
        (b"{'execute': nope}", [refused("JSON parse error, invalid keyword 'nope'")]),
        (b"GET /", [refused("JSON parse error, stray 'G'")]),
    ],
)
def test_requests_and_refusals_in_order(data: bytes, items: list[Any]) -> None:
    if data.endswith(b'"a"'):
        assert QgaDialect().receive(data) == items
    else:
        assert receive(data) == items


def test_it_is_silent_until_asked() -> None:
    assert QgaDialect().opened() == b""


def test_a_value_over_a_limit_is_refused_and_the_next_is_read() -> None:
    dialect = QgaDialect(Limits(message_bytes=20))
    items = dialect.receive(b'{"execute": "guest-ping-and-more"}{"execute": "x"}')
    assert [plain(item) for item in items] == [refused("JSON token size limit exceeded"), Request("x")]


@pytest.mark.parametrize("nesting", [63, 64, 900, 1022])
def test_a_deep_id_never_escapes(nesting: int) -> None:
    data = b'{"execute": "x", "id": ' + b"[" * nesting + b"]" * nesting + b"}"
    [item] = QgaDialect().receive(data)
    assert isinstance(item, Request) == (nesting <= 64)


def test_only_the_delimited_sync_has_the_mark() -> None:
    dialect = QgaDialect()
    assert dialect.reply(Request("guest-sync-delimited", id=2), 7) == b'\xff{"return": 7, "id": 2}\n'
    assert dialect.reply(Request("guest-sync"), 7) == b'{"return": 7}\n'
    missing = dialect.error(Request("guest-sync-delimited", id=2), "GenericError", "no")
    assert missing == b'{"error": {"class": "GenericError", "desc": "no"}, "id": 2}\n'


def test_its_repr_tells_what_is_open() -> None:
    dialect = QgaDialect()
    dialect.receive(b'{"exe')
    assert repr(dialect) == "<QgaDialect buffered=5>"


@given(STREAMS, st.integers(1, 7))
def test_a_host_may_send_anything_cut_anywhere(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    items = [summary(item) for item in QgaDialect().receive(data)]
    assert [summary(item) for item in in_pieces(QgaDialect().receive, data, size)] == items


@given(st.lists(REQUESTS | st.sampled_from([b"[]", b"}", b"{]", b"(", b'{"a": 1}']), max_size=8))
def test_every_request_has_one_item_in_its_place(lines: list[Request | bytes]) -> None:
    data = b"".join(encode_request(line) if isinstance(line, Request) else line + b"\n" for line in lines)
    items = [plain(item) for item in QgaDialect().receive(data)]
    assert len(items) == len(lines)
    for line, item in zip(lines, items, strict=True):
        if isinstance(line, bytes) or line.oob:
            assert isinstance(item, ErrorReply)
            assert item.id == (UNSET if isinstance(line, bytes) else line.id)
        else:
            assert item == line
