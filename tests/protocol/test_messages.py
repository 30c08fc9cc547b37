"""QMP's messages: what is a request, what a server sends, and that each is read back as it was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.messages import (
    MAX_ID_NESTING,
    ErrorReply,
    Event,
    Greeting,
    JsonText,
    MessageError,
    Reply,
    Request,
    RequestError,
    encode_error,
    encode_event,
    encode_greeting,
    encode_reply,
    encode_request,
    parse_request,
    parse_server_message,
)
from tests.support.json_values import OBJECTS, TEXTS, VALUES

IDS = VALUES | st.just(UNSET)


def nested(depth: int) -> Any:
    """Objects in lists in objects; the innermost empty, or not."""
    value: Any = [1] * (depth % 2)
    for level in range(depth - 1):
        value = {"a": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize(
    ("value", "request_"),
    [
        ({"execute": "guest-ping"}, Request("guest-ping")),
        ({"execute": "", "id": None}, Request("", id=None)),
        ({"arguments": {"a": 1}, "execute": "x"}, Request("x", {"a": 1})),
        ({"execute": "x", "id": nested(MAX_ID_NESTING)}, Request("x", id=nested(MAX_ID_NESTING))),
        ({"exec-oob": "x", "id": 1}, Request("x", id=1, oob=True)),
    ],
)
def test_requests(value: Any, request_: Request) -> None:
    assert parse_request(value, oob_allowed=True) == request_


NO_OBJECTS: list[Any] = [[], "x", 5, 1.5, None, True]


@pytest.mark.parametrize(
    ("value", "desc"),
    [
        *((value, "QMP input must be a JSON object") for value in NO_OBJECTS),
        ({}, "QMP input lacks member 'execute'"),
        ({"arguments": {}}, "QMP input lacks member 'execute'"),
        ({"execute": 5}, "QMP input member 'execute' must be a string"),
        ({"exec-oob": None}, "QMP input member 'exec-oob' must be a string"),
        ({"execute": "x", "exec-oob": "x"}, "QMP input member 'exec-oob' clashes with 'execute'"),
        ({"exec-oob": "x", "execute": "x"}, "QMP input member 'execute' clashes with 'exec-oob'"),
        ({"execute": "x", "arguments": None}, "QMP input member 'arguments' must be an object"),
        ({"execute": "x", "arguments": []}, "QMP input member 'arguments' must be an object"),
        ({"execute": "x", "control": 1}, "QMP input member 'control' is unexpected"),
        ({"x" * 1000: 1}, f"QMP input member '{'x' * 128}' is unexpected"),
    ],
)
def test_what_is_no_request(value: Any, desc: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(value, oob_allowed=True)
    assert (caught.value.desc, caught.value.id) == (desc, UNSET)


def test_a_refusal_keeps_the_id() -> None:
    with pytest.raises(RequestError) as caught:
        parse_request({"id": [7]}, oob_allowed=False)
    assert caught.value.id == [7]


def test_exec_oob_must_be_negotiated() -> None:
    with pytest.raises(RequestError, match="'exec-oob' is unexpected"):
        parse_request({"exec-oob": "x"}, oob_allowed=False)


@pytest.mark.parametrize("depth", [MAX_ID_NESTING + 1, MAX_ID_NESTING + 2])
def test_an_id_that_could_not_be_echoed_is_refused_without_one(depth: int) -> None:
    with pytest.raises(RequestError, match="'id' nests deeper than 64") as caught:
        parse_request({"execute": "x", "id": nested(depth)}, oob_allowed=False)
    assert caught.value.id is UNSET


@given(TEXTS, OBJECTS, IDS, st.booleans())
def test_a_request_is_read_back(command: str, arguments: dict[str, Any], request_id: Any, oob: bool) -> None:
    request = Request(command, arguments, request_id, oob)
    line = encode_request(request)
    assert line.index(b"\n") == len(line) - 1
    assert parse_request(decode(line), oob_allowed=oob) == request


@given(VALUES, IDS)
def test_a_reply_is_read_back(value: Any, request_id: Any) -> None:
    assert parse_server_message(decode(encode_reply(value, request_id))) == Reply(value, request_id)


@given(TEXTS, TEXTS, IDS)
def test_an_error_is_read_back(error_class: str, desc: str, request_id: Any) -> None:
    line = encode_error(error_class, desc, request_id)
    assert parse_server_message(decode(line)) == ErrorReply(error_class, desc, request_id)


@given(TEXTS, OBJECTS)
def test_an_event_is_read_back(name: str, data: dict[str, Any]) -> None:
    event = Event(name, data, 1_700_000_000, 999_999)
    assert parse_server_message(decode(encode_event(event))) == event


@given(OBJECTS, st.lists(TEXTS, max_size=3))
def test_a_greeting_is_read_back(version: dict[str, Any], capabilities: list[str]) -> None:
    greeting = Greeting(version, capabilities)
    assert parse_server_message(decode(encode_greeting(greeting))) == greeting


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (encode_request(Request("guest-ping")), b'{"execute": "guest-ping"}\n'),
        (
            encode_request(Request("guest-sync", {"id": 1}, 2)),
            b'{"execute": "guest-sync", "arguments": {"id": 1}, "id": 2}\n',
        ),
        (encode_request(Request("x", oob=True)), b'{"exec-oob": "x"}\n'),
        (encode_reply({}), b'{"return": {}}\n'),
        (encode_reply({}, 1), b'{"return": {}, "id": 1}\n'),
        (encode_reply([], None), b'{"return": [], "id": null}\n'),
        (
            encode_error("GenericError", "é", "a"),
            b'{"error": {"class": "GenericError", "desc": "\\u00e9"}, "id": "a"}\n',
        ),
    ],
)
def test_the_text_is_qemus(line: bytes, written: bytes) -> None:
    assert line == written


def test_a_value_without_json_text_is_our_error() -> None:
    with pytest.raises(JsonError):
        encode_reply(float("nan"))


STAMP = {"seconds": 1, "microseconds": 2}


@pytest.mark.parametrize(
    "value",
    [
        [],
        "QMP",
        {},
        {"id": 1},
        {"error": "x"},
        {"error": {"class": "GenericError"}},
        {"error": {"class": 5, "desc": "x"}},
        {"event": 5, "timestamp": STAMP},
        {"event": "X"},
        {"event": "X", "timestamp": {"seconds": True, "microseconds": 0}},
        {"event": "X", "timestamp": STAMP, "data": []},
        {"QMP": []},
        {"QMP": {"version": {}}},
        {"QMP": {"version": 5, "capabilities": []}},
    ],
)
def test_what_no_server_sends(value: Any) -> None:
    with pytest.raises(MessageError):
        parse_server_message(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"return": None}, Reply(None)),
        ({"event": "STOP", "timestamp": STAMP}, Event("STOP", {}, 1, 2)),
        ({"event": "STOP", "timestamp": STAMP, "data": {"a": 1}}, Event("STOP", {"a": 1}, 1, 2)),
        ({"QMP": {"version": {}, "capabilities": ["oob", {"new": 1}, "x"]}}, Greeting({}, ["oob", "x"])),
    ],
)
def test_what_a_server_sends(value: Any, message: Any) -> None:
    assert parse_server_message(value) == message


@given(VALUES)
def test_nothing_but_a_message_error_escapes(value: Any) -> None:
    for untrusted in (value, {"QMP": value}, {"event": value, "timestamp": value}, {"error": value}):
        try:
            parse_server_message(untrusted)
        except MessageError:
            continue


def test_a_result_that_is_encoded_already_is_taken_as_it_is() -> None:
    text = JsonText(b'{"a": [1, 2]}')
    assert encode_reply(text) == encode_reply({"a": [1, 2]})
    assert encode_reply(text, "x") == encode_reply({"a": [1, 2]}, "x")
