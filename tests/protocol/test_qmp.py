"""The qmp dialect: greeting, negotiation, gates, and a host that sends anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from guestmux_protocol.incoming import Incoming
from guestmux_protocol.messages import ErrorReply, Reply, Request, encode_reply, encode_request
from guestmux_protocol.qmp import TRANSITIONS, QmpDialect, State
from guestmux_protocol.version import version_info
from tests.support.dialects import REQUESTS, STREAMS, TAIL, TAIL_ITEMS, feeding, plain, summary
from tests.support.three_ways import in_pieces, three_ways

HELLO = b'{"execute": "qmp_capabilities"}'
HELLO_OOB = b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}, "id": 0}'
TOO_EARLY = "Expecting capabilities negotiation with 'qmp_capabilities'"
TOO_LATE = "Capabilities negotiation is already complete, command ignored"


def not_found(desc: str, request_id: Any = UNSET) -> ErrorReply:
    return ErrorReply("CommandNotFound", desc, request_id)


def generic(desc: str, request_id: Any = UNSET) -> ErrorReply:
    return ErrorReply("GenericError", desc, request_id)


def receive(data: bytes, *, negotiated: bool) -> list[Any]:
    """The items of data, which must not negotiate: the tail's item depends on whether that is done."""
    before = [HELLO] if negotiated else []
    tail = feeding(QmpDialect, *before)()(TAIL)
    return [plain(item) for item in three_ways(feeding(QmpDialect, *before), data, TAIL, tail)]


def test_the_greeting_says_who_is_there() -> None:
    greeting = json.loads(QmpDialect().opened())
    assert greeting == {"QMP": {"version": version_info(), "capabilities": ["oob"]}}
    assert QmpDialect().opened().endswith(b"}\n")


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"", []),
        (b'{"execute": "guest-ping", "id": 1}', [not_found(TOO_EARLY, 1)]),
        (b'{"exec-oob": "guest-ping"}', [generic("QMP input member 'exec-oob' is unexpected")]),
        (b"[]", [generic("QMP input must be a JSON object")]),
        (
            b'{"execute": "qmp_capabilities", "arguments": {"enable": ["x"]}, "id": 3}',
            [generic("Parameter 'enable[0]' does not accept value 'x'", 3)],
        ),
        (
            b'{"execute": "qmp_capabilities", "arguments": {"disable": []}}',
            [generic("Parameter 'disable' is unexpected")],
        ),
    ],
)
def test_before_the_negotiation(data: bytes, items: list[Any]) -> None:
    assert receive(data, negotiated=False) == items


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b'{"execute": "a"}{"execute": "b", "id": 2}', [Request("a"), Request("b", id=2)]),
        (b'{"exec-oob": "a"}', [generic("QMP input member 'exec-oob' is unexpected")]),
        (HELLO, [not_found(TOO_LATE)]),
        (HELLO_OOB, [not_found(TOO_LATE, 0)]),
        (
            b'{"execute": "qmp_capabilities", "arguments": {"enable": 1}}',
            [generic("Invalid parameter type for 'enable', expected: array")],
        ),
        (b"}", [generic("JSON parse error, expecting value")]),
    ],
)
def test_after_the_negotiation(data: bytes, items: list[Any]) -> None:
    assert receive(data, negotiated=True) == items


@pytest.mark.parametrize(("hello", "oob"), [(HELLO, False), (HELLO_OOB, True)])
def test_the_negotiation_counts_for_what_follows_it(hello: bytes, oob: bool) -> None:
    data = b'{"execute": "a"}' + hello + b'{"exec-oob": "b"}'
    items = three_ways(feeding(QmpDialect), data, TAIL, TAIL_ITEMS)
    early, done, late = [plain(item) for item in items]
    assert early == not_found(TOO_EARLY)
    assert done == Reply({}, 0 if oob else UNSET)
    assert late == (Request("b", oob=True) if oob else generic("QMP input member 'exec-oob' is unexpected"))


def test_its_repr_tells_where_it_stands() -> None:
    dialect = QmpDialect()
    assert repr(dialect) == "<QmpDialect NEGOTIATING oob=False buffered=0>"
    dialect.receive(HELLO_OOB + b"{")
    assert repr(dialect) == "<QmpDialect COMMANDS oob=True buffered=1>"
    assert dialect.state is State.COMMANDS


def test_replies_have_no_mark() -> None:
    dialect = QmpDialect()
    assert dialect.reply(Request("guest-sync-delimited", id=1), 5) == b'{"return": 5, "id": 1}\n'
    refusal = dialect.error(Request("x"), "CommandNotFound", "no")
    assert refusal == b'{"error": {"class": "CommandNotFound", "desc": "no"}}\n'


def test_every_state_says_what_follows_each_kind_of_command() -> None:
    assert TRANSITIONS.keys() == set(State)
    assert len({frozenset(row) for row in TRANSITIONS.values()}) == 1


@given(STREAMS, st.integers(1, 7))
def test_a_host_may_send_anything_cut_anywhere(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    items = [summary(item) for item in QmpDialect().receive(data)]
    assert [summary(item) for item in in_pieces(QmpDialect().receive, data, size)] == items


def answer(dialect: QmpDialect, item: Incoming) -> Any:
    return plain(item) if not isinstance(item, Request) else Reply(item.command, item.id)


@given(st.lists(REQUESTS | st.just(Request("qmp_capabilities", {"enable": ["oob"]}, "hello")), max_size=8))
def test_every_request_is_answered_once_in_its_place(requests: list[Request]) -> None:
    dialect = QmpDialect()
    items = dialect.receive(b"".join(map(encode_request, requests)))
    assert [answer(dialect, item).id for item in items] == [request.id for request in requests]


def test_a_reply_is_one_line() -> None:
    assert QmpDialect().reply(Request("x"), "a\nb") == encode_reply("a\nb")
