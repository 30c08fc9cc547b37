"""The notation in which agents declare types: read, refused, and written back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from guestmux_protocol.schema import (
    ANY,
    ANYTHING,
    INT,
    NULL,
    STR,
    Alternate,
    Array,
    Enumeration,
    Member,
    Object,
    Type,
)
from guestmux_protocol.schema_notation import MAX_DEPTH, MAX_MEMBERS, SchemaError, from_notation, to_notation
from tests.support.json_values import VALUES
from tests.support.schema_types import TYPES


@pytest.mark.parametrize(
    ("notation", "kind"),
    [
        ("str", STR),
        (["int"], Array(INT)),
        ({}, Object()),
        ({"enum": ["a", "b"]}, Enumeration(("a", "b"))),
        (
            {"text": "str", "*list": [["any"]], "*enum": "int"},
            Object(
                (
                    Member("text", STR),
                    Member("list", Array(Array(ANY)), required=False),
                    Member("enum", INT, required=False),
                )
            ),
        ),
    ],
)
def test_notation(notation: Any, kind: Type) -> None:
    assert from_notation(notation) == kind
    assert to_notation(kind) == notation


def deep(depth: int) -> Any:
    notation: Any = "int"
    for _ in range(depth):
        notation = [notation]
    return notation


ENUM = f"t.enum must be a list of 1 to {MAX_MEMBERS} strings, alone in its object"
CHOICES = "must be one of str, int, number, bool, null, any, a list of one type, or an object"


@pytest.mark.parametrize(
    ("notation", "desc"),
    [
        ("float", f"t {CHOICES}"),
        (None, f"t {CHOICES}"),
        (5, f"t {CHOICES}"),
        ([], f"t {CHOICES}"),
        (["int", "int"], f"t {CHOICES}"),
        ([["x"]], f"t[][] {CHOICES}"),
        ({"a": {"*b": "x"}}, f"t.a.b {CHOICES}"),
        ({"": "int"}, "t has a member without a name"),
        ({"*": "int"}, "t has a member without a name"),
        ({"a": "int", "*a": "str"}, "t has a member twice, with and without '*'"),
        ({"enum": []}, ENUM),
        ({"enum": "int"}, ENUM),
        ({"enum": ["a", 5]}, ENUM),
        ({"enum": ["a"], "b": "int"}, ENUM),
        ({"enum": ["a"] * (MAX_MEMBERS + 1)}, ENUM),
        ({f"m{index}": "int" for index in range(MAX_MEMBERS + 1)}, f"t has more than {MAX_MEMBERS} members"),
        (deep(MAX_DEPTH + 1), f"t{'[]' * (MAX_DEPTH + 1)} nests deeper than {MAX_DEPTH}"),
    ],
)
def test_what_is_refused(notation: Any, desc: str) -> None:
    with pytest.raises(SchemaError) as caught:
        from_notation(notation, "t")
    assert str(caught.value) == desc


def test_as_deep_and_as_many_as_allowed() -> None:
    from_notation(deep(MAX_DEPTH))
    from_notation({"enum": ["a"] * MAX_MEMBERS})
    from_notation({f"m{index}": "int" for index in range(MAX_MEMBERS)})


@pytest.mark.parametrize(
    "kind",
    [ANYTHING, Alternate((STR, NULL)), Object((Member("enum", Array(STR)),)), Object(open=True, name="X")],
)
def test_what_has_no_notation_is_any(kind: Type) -> None:
    assert to_notation(kind) == "any"
    assert to_notation(Array(kind)) == ["any"]


@given(TYPES)
def test_a_type_is_read_back(kind: Type) -> None:
    assert from_notation(to_notation(kind)) == kind


@given(VALUES)
def test_nothing_but_a_schema_error_escapes(notation: Any) -> None:
    try:
        kind = from_notation(notation)
    except SchemaError:
        return
    assert from_notation(to_notation(kind)) == kind
