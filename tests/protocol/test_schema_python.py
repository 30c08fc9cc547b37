"""Types from Python's annotations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from guestmux_protocol.registry import Arguments, Data, doc
from guestmux_protocol.schema import (
    ANY,
    ANYTHING,
    BOOL,
    INT,
    NULL,
    NUMBER,
    STR,
    Alternate,
    Array,
    Enumeration,
    Member,
    Object,
    Type,
)
from guestmux_protocol.schema_python import from_python


class Inner(Data, frozen=True):
    a_number: float


class Outer(Arguments, frozen=True):
    needed: Annotated[int, msgspec.Meta(ge=0, description="How many.")]
    inner_ones: list[Inner] = []
    maybe: Annotated[str | UnsetType, doc("A name.")] = UNSET
    renamed: bool = msgspec.field(name="class", default=False)
    nothing: Annotated[int, msgspec.Meta(extra={"x": 1})] = 0


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, STR),
        (int, INT),
        (float, NUMBER),
        (bool, BOOL),
        (None, NULL),
        (Any, ANY),
        (list[list[int]], Array(Array(INT))),
        (dict[str, int], ANYTHING),
        (Literal["a", "b"], Enumeration(("a", "b"))),
        (str | None, Alternate((STR, NULL))),
        (Inner, Object((Member("a-number", NUMBER),), open=True, name="Inner")),
        (
            Outer,
            Object(
                (
                    Member("needed", INT, doc="How many."),
                    Member("inner-ones", Array(from_python(Inner)), required=False),
                    Member("maybe", STR, required=False, doc="A name."),
                    Member("class", BOOL, required=False),
                    Member("nothing", INT, required=False),
                ),
                name="Outer",
            ),
        ),
    ],
)
def test_types(annotation: Any, kind: Type) -> None:
    assert from_python(annotation) == kind


@pytest.mark.parametrize("annotation", [bytes, tuple[int, ...], Literal[1, 2], set[str], object])
def test_what_qapi_has_no_type_for(annotation: Any) -> None:
    with pytest.raises(TypeError, match="QAPI has no type for"):
        from_python(annotation)
