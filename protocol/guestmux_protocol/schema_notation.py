"""QAPI types from the notation that agents declare: {"data": {"text": "str", "*urgency": "int"}, "returns": "int"}.

It is the notation of QEMU's own schema files (docs/devel/qapi-code-gen.rst), with objects and enums written in place.
"""

from __future__ import annotations

from typing import Any

from guestmux_protocol import schema
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.schema import Alternate, Array, Enumeration, Member, Object, Scalar, Type

MAX_DEPTH = 8
"""Nesting of a declared type: commands that need more should be several commands."""

MAX_MEMBERS = 128
"""Members of one object and values of one enum."""

_SCALARS = {
    kind.name: kind for kind in (schema.STR, schema.INT, schema.NUMBER, schema.BOOL, schema.NULL, schema.ANY)
}
_ENUM = "enum"


class SchemaError(GuestmuxError):
    """A declared schema cannot be read. The text says where and what is accepted."""


def from_notation(notation: Any, where: str = "type", depth: int = 0) -> Type:
    """Read a type.

    Args:
        notation: a built-in's name, `[T]`, an object of members (`*` before an optional one), or `{"enum": [...]}`;
            so no member may be called `enum`, unless it is optional.
        where: what to call it in an error.
        depth: how deep it stands already.

    Raises:
        SchemaError: it is none of these, or exceeds MAX_DEPTH or MAX_MEMBERS.
    """
    if depth > MAX_DEPTH:
        raise SchemaError(f"{where} nests deeper than {MAX_DEPTH}")
    if isinstance(notation, str) and notation in _SCALARS:
        return _SCALARS[notation]
    if isinstance(notation, list) and len(notation) == 1:
        return Array(from_notation(notation[0], f"{where}[]", depth + 1))
    if isinstance(notation, dict):
        return _from_object(notation, where, depth)
    raise SchemaError(f"{where} must be one of {', '.join(_SCALARS)}, a list of one type, or an object")


def _from_object(notation: dict[str, Any], where: str, depth: int) -> Type:
    if _ENUM in notation:
        return _from_enum(notation, where)
    if len(notation) > MAX_MEMBERS:
        raise SchemaError(f"{where} has more than {MAX_MEMBERS} members")
    members = tuple(_from_member(key, kind, where, depth) for key, kind in notation.items())
    if len({member.name for member in members}) < len(members):
        raise SchemaError(f"{where} has a member twice, with and without '*'")
    return Object(members)


def _from_enum(notation: dict[str, Any], where: str) -> Type:
    values = notation[_ENUM]
    countable = len(notation) == 1 and isinstance(values, list) and 0 < len(values) <= MAX_MEMBERS
    if not countable or not all(isinstance(value, str) for value in values):
        raise SchemaError(f"{where}.enum must be a list of 1 to {MAX_MEMBERS} strings, alone in its object")
    return Enumeration(tuple(values))


def _from_member(key: str, notation: Any, where: str, depth: int) -> Member:
    name = key.removeprefix("*")
    if not name:
        raise SchemaError(f"{where} has a member without a name")
    return Member(name, from_notation(notation, f"{where}.{name}", depth + 1), required=name == key)


def to_notation(kind: Type) -> Any:
    """Write a type in the notation; the inverse of `from_notation`. What it cannot say becomes "any"."""
    if isinstance(kind, Scalar):
        return kind.name
    if isinstance(kind, Array):
        return [to_notation(kind.items)]
    if isinstance(kind, Enumeration):
        return {"enum": list(kind.values)}
    if isinstance(kind, Alternate) or kind.open:
        # QAPI has no unnamed alternate; "any" promises less than the agent checks, never more.
        return "any"
    members = {("" if m.required else "*") + m.name: to_notation(m.type) for m in kind.members}
    return "any" if _ENUM in members else members
