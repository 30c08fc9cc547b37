"""QAPI types from msgspec's typed classes, so that a command is described once, in Python."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from msgspec import NODEFAULT, inspect, to_builtins

from guestmux_protocol import schema
from guestmux_protocol.json_text import encode
from guestmux_protocol.schema import Alternate, Array, Enumeration, Member, Object, Type

_SCALARS: dict[type[inspect.Type], Type] = {
    inspect.StrType: schema.STR,
    inspect.IntType: schema.INT,
    inspect.FloatType: schema.NUMBER,
    inspect.BoolType: schema.BOOL,
    inspect.NoneType: schema.NULL,
    inspect.AnyType: schema.ANY,
}


def from_python(annotation: Any) -> Type:
    """The QAPI type of a Python annotation.

    Args:
        annotation: str, int, float, bool, None, Any, list[T], dict[str, T], Literal of strings, a msgspec Struct,
            or a union of these. A member that may be UNSET is an optional one.

    Raises:
        TypeError: QAPI has no such type.
    """
    return _convert(inspect.type_info(annotation))


def _convert(info: inspect.Type) -> Type:
    if isinstance(info, inspect.Metadata):
        return _convert(info.type)
    if scalar := _SCALARS.get(type(info)):
        return scalar
    if isinstance(info, inspect.ListType):
        return Array(_convert(info.item_type), info.max_length)
    if isinstance(info, inspect.LiteralType) and all(isinstance(value, str) for value in info.values):
        return Enumeration(tuple(map(str, info.values)))
    if isinstance(info, inspect.StructType):
        members = tuple(map(_member, info.fields))
        doc = cleandoc(info.cls.__doc__ or "")
        return Object(members, not info.forbid_unknown_fields, info.cls.__name__, doc)
    if isinstance(info, inspect.DictType):
        return schema.ANYTHING
    if isinstance(info, inspect.UnionType):
        return Alternate(tuple(map(_convert, info.types)))
    raise TypeError(f"QAPI has no type for {info!r}")


def _member(field: inspect.Field) -> Member:
    return Member(field.encode_name, _convert(field.type), field.required, _doc(field.type), _default(field))


def _doc(info: inspect.Type) -> str:
    if not isinstance(info, inspect.Metadata):
        return ""
    return str((info.extra_json_schema or {}).get("description", ""))


def _default(field: inspect.Field) -> str:
    if field.default_factory is not NODEFAULT:
        return encode(to_builtins(field.default_factory())).decode()
    if field.default is NODEFAULT:
        return ""
    return encode(to_builtins(field.default)).decode()
