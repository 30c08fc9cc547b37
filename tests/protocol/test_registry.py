"""Commands and events: checked arguments, and what an agent may declare."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.registry import (
    MAX_NAME_LENGTH,
    MAX_SCHEMA_TEXT,
    Arguments,
    Command,
    Data,
    DeclaredNameError,
    EventType,
    command,
    declared_command,
    declared_event,
    event,
)
from guestmux_protocol.schema import ANY, ANYTHING, BOOL, INT, NOTHING, STR, InvalidParameter, Member, Object
from guestmux_protocol.schema_notation import SchemaError

COMMANDS: dict[str, Command] = {}
EVENTS: dict[str, EventType] = {}


@command(COMMANDS, "set-level", returns=bool)
class SetLevel(Arguments, frozen=True, kw_only=True):
    """Set a level.

    For good.
    """

    new_level: Annotated[int, msgspec.Meta(ge=0, le=100)]


@event(EVENTS, "LEVEL_SET", keep="last")
class LevelSet(Data, frozen=True, kw_only=True):
    """A level was set."""

    level: int


def test_a_class_becomes_a_command() -> None:
    members = (Member("new-level", INT),)
    taken = Object(members, name="SetLevel")
    assert {"set-level": Command("set-level", "Set a level.\n\nFor good.", taken, BOOL, SetLevel)} == COMMANDS


def test_a_class_becomes_an_event() -> None:
    data = Object((Member("level", INT),), open=True, name="LevelSet")
    assert {"LEVEL_SET": EventType("LEVEL_SET", "A level was set.", data, "last")} == EVENTS


def test_a_class_without_docstring_has_no_doc() -> None:
    class Bare(Arguments, frozen=True):
        pass

    class BareData(Data, frozen=True):
        pass

    commands: dict[str, Command] = {}
    events: dict[str, EventType] = {}
    command(commands, "bare", returns=None)(Bare)
    event(events, "BARE")(BareData)
    assert (commands["bare"].doc, events["BARE"].doc, events["BARE"].keep) == ("", "", "every")


def test_arguments_are_checked_and_built() -> None:
    assert COMMANDS["set-level"].parse({"new-level": 7}) == SetLevel(new_level=7)


@pytest.mark.parametrize(
    ("arguments", "desc"),
    [
        ({}, "Parameter 'new-level' is missing"),
        ({"new_level": 1}, "Parameter 'new-level' is missing"),
        ({"new-level": 1, "x": 2}, "Parameter 'x' is unexpected"),
        ({"new-level": 101}, r"Invalid parameter: Expected `int` <= 100 - at `\$.new-level`"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], desc: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{desc}$"):
        COMMANDS["set-level"].parse(arguments)


def test_a_declared_command() -> None:
    text = '{"data": {"text": "str", "*n": "int"}, "returns": "bool", "doc": "Say."}'
    declared = declared_command("__org.example_say", text)
    arguments = Object((Member("text", STR), Member("n", INT, required=False)))
    assert declared == Command("__org.example_say", "Say.", arguments, BOOL)
    with pytest.raises(InvalidParameter, match="'text' is missing"):
        declared.check({})
    assert declared.parse({"text": "x"}) == {"text": "x"}


def test_a_declared_stream() -> None:
    assert declared_command("__org.example_tail", '{"stream": true}').stream
    assert not declared_command("__org.example_tail", '{"stream": false}').stream
    with pytest.raises(SchemaError, match="x: stream must be true or false"):
        declared_command("x", '{"stream": 1}')
    desc = 'x: the schema must be a JSON object with "data", "returns" and "doc", all optional'
    with pytest.raises(SchemaError, match=desc):
        declared_event("x", '{"stream": true}')


def test_a_stream_of_a_table() -> None:
    commands: dict[str, Command] = {}
    command(commands, "tail", returns=None, stream=True)(SetLevel)
    assert commands["tail"].stream
    assert not COMMANDS["set-level"].stream


@pytest.mark.parametrize("text", ["", "{}", '{"data": null}'])
def test_a_bare_declaration_takes_anything(text: str) -> None:
    assert declared_command("x", text) == Command("x", "", ANYTHING, ANY)
    assert declared_event("X", text) == EventType("X", "", ANYTHING, "bounded")


def test_a_declared_event() -> None:
    declared = declared_event("__org.example_TICK", '{"data": {}, "doc": "Ticked."}')
    assert declared == EventType("__org.example_TICK", "Ticked.", NOTHING, "bounded")


@pytest.mark.parametrize(
    "name", ["a", "session-lock", "A_B", "x.y", "__org.example_x", "__com.a-b_c_d", "a" * 128]
)
def test_names(name: str) -> None:
    assert declared_command(name, "").name == name


@pytest.mark.parametrize(
    "name", ["", "-a", "_a", "1a", "a b", "a\n", "é", "__x", "__org.example", "a/b", "a" * 129]
)
def test_what_is_no_name(name: str) -> None:
    for declare in (declared_command, declared_event):
        with pytest.raises(DeclaredNameError, match="is no name for a command or event") as caught:
            declare(name, "")
        assert len(str(caught.value)) <= MAX_NAME_LENGTH + 50


@pytest.mark.parametrize(
    ("text", "desc"),
    [
        ("[]", 'x: the schema must be a JSON object with "data", "returns"'),
        ('{"name": 1}', 'x: the schema must be a JSON object with "data", "returns"'),
        ("{", "x: the schema is no JSON: JSON parse error, premature end of input"),
        ('"\ud800"', "x: the schema is no JSON: 'utf-8' codec can't encode character"),
        ('{"data": "int"}', "x: data must be an object of members"),
        ('{"data": {"a": 1}}', "x: data.a must be one of"),
        ('{"doc": 5}', "x: doc must be a string"),
        (" " * (MAX_SCHEMA_TEXT + 1), f"x: the schema is longer than {MAX_SCHEMA_TEXT} characters"),
    ],
)
def test_what_is_no_schema(text: str, desc: str) -> None:
    for declare in (declared_command, declared_event):
        with pytest.raises(SchemaError) as caught:
            declare("x", text)
        assert str(caught.value).startswith(desc)


def test_a_result_must_have_a_type() -> None:
    with pytest.raises(SchemaError, match="x: returns must be one of"):
        declared_command("x", '{"returns": "integer"}')


@given(st.text(max_size=20), st.text(max_size=60))
def test_nothing_else_escapes(name: str, text: str) -> None:
    for declare in (declared_command, declared_event):
        try:
            declare(name, text)
        except (DeclaredNameError, SchemaError):
            continue
