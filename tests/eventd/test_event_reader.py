"""Events read from JSON text: the compiled way takes what the slow way takes, and gives the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.event_reader import MAX_COMPILED, EventReader
from guestmux_eventd.refusal import Refusal
from guestmux_protocol.json_text import decode, encode
from guestmux_protocol.registry import declared_event
from guestmux_protocol.schema_notation import SchemaError

NAME = "__org.example_X"
SCALARS = ("str", "int", "number", "bool", "null")

names = st.text('abc-_ é"\\', min_size=1, max_size=4)
scalars = st.sampled_from(SCALARS) | st.just({"enum": ["a", "b", "ü"]})
types = st.recursive(
    scalars,
    lambda inner: inner.map(lambda kind: [kind]) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
schemas = st.dictionaries(st.tuples(st.sampled_from(["", "*"]), names).map("".join), types, max_size=4)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["a", "ü", "", "\x7f", 'q"'])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2),
    max_leaves=5,
)


def reader(schema: Any) -> EventReader:
    return EventReader(declared_event(NAME, json.dumps({"data": schema})))


def fitting(kind: Any) -> st.SearchStrategy[Any]:
    """Values that fit a type, mostly."""
    if isinstance(kind, list):
        return st.lists(fitting(kind[0]), max_size=3)
    if isinstance(kind, dict) and "enum" in kind:
        return st.sampled_from(kind["enum"])
    if isinstance(kind, dict):
        required = {name: fitting(inner) for name, inner in kind.items() if not name.startswith("*")}
        optional = {name[1:]: fitting(inner) for name, inner in kind.items() if name.startswith("*")}
        return st.fixed_dictionaries(required, optional=optional)
    return {
        "str": st.text(max_size=5),
        "int": st.integers(-(2**63) - 1, 2**63),
        "number": st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False),
        "bool": st.booleans(),
        "null": st.none(),
    }[kind]


def outcome(members: Any, text: bytes) -> Any:
    """What is read, with its types and in a fixed order; or the refusal."""
    try:
        return json.dumps(decode(b"{" + members(text) + b"}"), sort_keys=True)
    except Refusal as refusal:
        return refusal.error, refusal.desc


@given(st.data())
def test_both_ways_take_the_same_and_give_the_same(data: st.DataObject) -> None:
    schema = data.draw(schemas)
    try:
        compiled = reader(schema)
    except SchemaError:
        return
    value = data.draw(fitting(schema) | anything)
    text = data.draw(
        st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)]).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        )
    )
    slow = compiled._read_slowly
    assert outcome(compiled.members, text) == outcome(slow, text)


@given(st.binary(max_size=30))
def test_any_bytes_are_members_or_a_refusal(text: bytes) -> None:
    outcome(reader({"text": "str"}).members, text)
    outcome(EventReader(declared_event(NAME, "")).members, text)


def test_what_goes_on_is_ascii_in_one_line() -> None:
    read = reader({"text": "str", "*other-name": ["int"]})
    assert repr(read) == f"<EventReader {NAME} compiled>"
    assert read.members(b' {"text" :\n"x", "other-name": [ 1 ] }\n') == b'"text":"x","other-name":[1]'
    assert read.members('{"text": "ü"}'.encode()) == b'"text": "\\u00fc"'
    assert reader({"*text": "str"}).members(b"{}") == b""


def test_a_member_that_comes_twice_goes_on_once() -> None:
    """A host's parser may refuse, or take, either."""
    assert reader({"x": "int"}).members(b'{"x": 1, "x": 2}') == b'"x":2'
    with pytest.raises(Refusal):
        EventReader(declared_event(NAME, "")).members(b'{"x": 1, "x": 2}')


@pytest.mark.parametrize("schema", ["", '{"data": {"*y": "any"}}'])
def test_what_eventd_fills_in_cannot_be_forged(schema: str) -> None:
    read = EventReader(declared_event(NAME, schema))
    assert repr(read) == f"<EventReader {NAME} slow>"
    for text in (b'{"source": "verified"}', b'{"\\u0073ource": "verified"}'):
        with pytest.raises(Refusal, match="source"):
            read.members(text)


def test_what_is_wrong_is_said_in_qemus_words() -> None:
    for text, desc in (
        (b'{"x": "1"}', "Invalid parameter type for 'x', expected: integer"),
        (b"{}", "Parameter 'x' is missing"),
        (b'{"x": 1, "y": 2}', "Parameter 'y' is unexpected"),
        (b"[", "JSON parse error"),
    ):
        with pytest.raises(Refusal, match=desc):
            reader({"x": "int"}).members(text)


def test_a_large_schema_is_read_slowly() -> None:
    schema = {f"x{number}": "int" for number in range(MAX_COMPILED)}
    read = reader(schema)
    assert "slow" in repr(read)
    assert decode(b"{" + read.members(encode(dict.fromkeys(schema, 1))) + b"}") == dict.fromkeys(schema, 1)
