"""Validation: QEMU's words for each misfit, and the same verdict as msgspec's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.schema import (
    ANY,
    ANYTHING,
    BOOL,
    INT,
    NOTHING,
    NULL,
    NUMBER,
    STR,
    Alternate,
    Array,
    Enumeration,
    InvalidParameter,
    Member,
    Object,
    Type,
    describe,
    validate,
)
from guestmux_protocol.schema_python import from_python
from tests.support.schema_types import ANNOTATIONS, values_near

MODE = Enumeration(("none", "all"))
POINT = Object((Member("x", INT), Member("y", INT, required=False)))
REF = Alternate((STR, POINT))


def arguments(kind: Type) -> Object:
    return Object((Member("a", kind),))


def fault(kind: Type, value: Any, name: str = "") -> str:
    with pytest.raises(InvalidParameter) as caught:
        validate(kind, value, name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (STR, ["", "x"]),
        (INT, [0, -(2**63), 2**63 - 1]),
        (NUMBER, [0, 2**64 - 1, -1.5]),
        (BOOL, [True, False]),
        (NULL, [None]),
        (ANY, [None, 1, 1.5, "x", True, [], {"a": [1]}]),
        (Array(INT), [[], [1, 2]]),
        (MODE, ["none", "all"]),
        (POINT, [{"x": 1}, {"y": 2, "x": 1}]),
        (ANYTHING, [{}, {"x": {}}]),
        (REF, ["x", {"x": 1}]),
        (Alternate((REF, NULL)), ["x", {"x": 1}, None]),
        (Alternate((MODE, Array(STR), BOOL)), ["all", ["x"], True]),
    ],
)
def test_what_fits(kind: Type, values: list[Any]) -> None:
    for value in values:
        validate(arguments(kind), {"a": value})


@pytest.mark.parametrize(
    ("kind", "value", "desc"),
    [
        (STR, 1, "Invalid parameter type for 'a', expected: string"),
        (STR, None, "Invalid parameter type for 'a', expected: string"),
        (INT, True, "Invalid parameter type for 'a', expected: integer"),
        (INT, 1.0, "Invalid parameter type for 'a', expected: integer"),
        (INT, 2**63, "Invalid parameter type for 'a', expected: integer"),
        (INT, -(2**63) - 1, "Invalid parameter type for 'a', expected: integer"),
        (NUMBER, "1", "Invalid parameter type for 'a', expected: number"),
        (NUMBER, True, "Invalid parameter type for 'a', expected: number"),
        (BOOL, 0, "Invalid parameter type for 'a', expected: boolean"),
        (NULL, 0, "Invalid parameter type for 'a', expected: null"),
        (MODE, 0, "Invalid parameter type for 'a', expected: string"),
        (MODE, "some", "Parameter 'a' does not accept value 'some'"),
        (MODE, "s" * 1000, f"Parameter 'a' does not accept value '{'s' * 128}'"),
        (Array(STR), {}, "Invalid parameter type for 'a', expected: array"),
        (Array(STR), ["x", 5], "Invalid parameter type for 'a[1]', expected: string"),
        (Array(MODE), ["some"], "Parameter 'a[0]' does not accept value 'some'"),
        (POINT, [], "Invalid parameter type for 'a', expected: object"),
        (POINT, {}, "Parameter 'a.x' is missing"),
        (POINT, {"x": "1", "z": 1}, "Invalid parameter type for 'a.x', expected: integer"),
        (POINT, {"z": 1, "x": 1}, "Parameter 'a.z' is unexpected"),
        (Array(Array(POINT)), [[], [{"x": 1}, {"y": 1}]], "Parameter 'a[1][1].x' is missing"),
        (REF, 5, "Invalid parameter type for 'a', expected: string or object"),
        (REF, {"x": None}, "Invalid parameter type for 'a.x', expected: integer"),
        (Alternate((Array(INT), NULL)), [None], "Invalid parameter type for 'a[0]', expected: integer"),
        (Alternate((INT, NULL)), 2**63, "Invalid parameter type for 'a', expected: integer"),
        (Alternate((MODE, NULL)), 5, 'Invalid parameter type for \'a\', expected: "none" | "all" or null'),
    ],
)
def test_what_does_not_fit(kind: Type, value: Any, desc: str) -> None:
    assert fault(arguments(kind), {"a": value}) == desc


@pytest.mark.parametrize(
    ("kind", "value", "desc"),
    [
        (NOTHING, {"x": 1}, "Parameter 'x' is unexpected"),
        (NOTHING, {"x" * 1000: 1}, f"Parameter '{'x' * 128}' is unexpected"),
        (POINT, {"z": 1}, "Parameter 'x' is missing"),
        (POINT, {"x": 1, "y": None}, "Invalid parameter type for 'y', expected: integer"),
        (Object((Member("x", INT),), open=True), {"z": 1}, "Parameter 'x' is missing"),
    ],
)
def test_members_in_their_order_then_unknown_ones(kind: Type, value: Any, desc: str) -> None:
    assert fault(kind, value) == desc


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (STR, "string"),
        (ANY, "any"),
        (Array(INT), "array of integer"),
        (MODE, '"none" | "all"'),
        (REF, "string or object"),
        (Object(name="Point"), "Point"),
    ],
)
def test_a_type_in_words(kind: Type, words: str) -> None:
    assert describe(kind) == words


@given(st.data())
def test_it_agrees_with_msgspec(data: st.DataObject) -> None:
    annotation = data.draw(ANNOTATIONS)
    kind = from_python(annotation)
    value = data.draw(values_near(kind))
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError:
        assert fault(kind, value, "a").startswith(("Parameter 'a", "Invalid parameter type for 'a"))
    else:
        validate(kind, value)
