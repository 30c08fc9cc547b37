"""Hypothesis strategies of QAPI types, as Python annotations and as data."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from hypothesis import strategies as st

from guestmux_protocol import schema
from guestmux_protocol.registry import Arguments
from guestmux_protocol.schema import Array, Enumeration, Member, Object, Type
from tests.support.json_values import INT64, TEXTS, VALUES

NAMES = st.from_regex(r"[a-z]{1,3}(-[a-z]{1,2})?", fullmatch=True)
WORDS = st.sampled_from(["low", "high", "-"])

_SCALARS = st.sampled_from([schema.STR, schema.INT, schema.NUMBER, schema.BOOL, schema.NULL, schema.ANY])
_ENUMS = st.lists(NAMES, min_size=1, max_size=3, unique=True).map(lambda names: Enumeration(tuple(names)))


def _object_of(types: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    members = st.builds(Member, NAMES, types, st.booleans())
    unique = st.lists(members, max_size=3, unique_by=lambda member: member.name)
    return unique.map(lambda found: Object(tuple(found)))


def _larger(types: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return types.map(Array) | _object_of(types)


TYPES: st.SearchStrategy[Type] = st.recursive(_SCALARS | _ENUMS, _larger, max_leaves=5)
"""Closed types, which have a notation each."""


def _struct_of(annotations: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.lists(st.tuples(annotations, st.booleans()), max_size=3)
    return fields.map(_struct)


def _struct(fields: list[tuple[Any, bool]]) -> Any:
    """A class with members `first_0`, `first_1`...; those marked may be left out."""
    unset = msgspec.UNSET
    definitions = [
        (f"first_{index}", annotation | msgspec.UnsetType, unset)
        if optional
        else (f"first_{index}", annotation)
        for index, (annotation, optional) in enumerate(fields)
    ]
    return msgspec.defstruct("Generated", definitions, bases=(Arguments,), kw_only=True)


def _larger_annotations(annotations: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = annotations.map(lambda annotation: list[annotation])  # type: ignore[valid-type]
    return lists | annotations.map(lambda annotation: annotation | None) | _struct_of(annotations)


ANNOTATIONS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([str, int, float, bool, Any, Literal["low", "high"]]), _larger_annotations, max_leaves=5
)


def values_near(kind: Type) -> st.SearchStrategy[Any]:
    """JSON values that fit a type, or nearly."""
    return st.one_of(_fitting(kind), VALUES)


def _fitting(kind: Type) -> st.SearchStrategy[Any]:
    if isinstance(kind, Object):
        required = {member.name: values_near(member.type) for member in kind.members if member.required}
        optional = {member.name: values_near(member.type) for member in kind.members if not member.required}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(kind, Array):
        return st.lists(values_near(kind.items), max_size=3)
    if isinstance(kind, Enumeration):
        return st.sampled_from(kind.values) | WORDS
    if isinstance(kind, schema.Alternate):
        return st.one_of(*map(values_near, kind.types))
    return st.one_of(VALUES, TEXTS, INT64)
