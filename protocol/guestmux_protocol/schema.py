"""QAPI's types as data, and validation with QEMU's own error texts (qapi/qobject-input-visitor.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guestmux_protocol.errors import GuestmuxError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

MAX_SHOWN = 128
"""Characters of the other side's text that an error repeats."""


class InvalidParameter(GuestmuxError):
    """A value does not fit its type. The text is the one that QEMU gives."""


@dataclass(frozen=True)
class Scalar:
    """One of QAPI's built-in types: str, int, number, bool, null, any."""

    name: str


@dataclass(frozen=True)
class Array:
    """A list of one type."""

    items: Type


@dataclass(frozen=True)
class Enumeration:
    """One of a few strings."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Alternate:
    """One of several types, told apart by their JSON type."""

    types: tuple[Type, ...]


@dataclass(frozen=True)
class Member:
    """A member of an object."""

    name: str
    type: Type
    required: bool = True
    doc: str = ""


@dataclass(frozen=True)
class Object:
    """A JSON object. An open one takes members that it does not know."""

    members: tuple[Member, ...] = ()
    open: bool = False
    name: str = ""


Type = Scalar | Array | Enumeration | Alternate | Object

STR, INT, NUMBER, BOOL, NULL, ANY = (Scalar(n) for n in ("str", "int", "number", "bool", "null", "any"))
NOTHING = Object()
ANYTHING = Object(open=True)

_JSON_NAMES = {"str": "string", "int": "integer", "number": "number", "bool": "boolean", "null": "null"}


def validate(kind: Type, value: Any, name: str = "") -> None:
    """Check a decoded JSON value against a type.

    Args:
        kind: what it should be.
        value: what the other side sent.
        name: where it stands, as QEMU writes it: `a.b[0]`; empty for the arguments as a whole.

    Raises:
        InvalidParameter: the first thing that does not fit, members in their declared order, then unknown ones.
    """
    if isinstance(kind, Object):
        _validate_object(kind, value, name)
    elif isinstance(kind, Scalar):
        if not _fits_scalar(kind.name, value):
            raise _wrong_type(name, _JSON_NAMES[kind.name])
    elif isinstance(kind, Array):
        if type(value) is not list:
            raise _wrong_type(name, "array")
        for index, item in enumerate(value):
            validate(kind.items, item, f"{name}[{index}]")
    elif isinstance(kind, Enumeration):
        _validate_enumeration(kind, value, name)
    elif not any(_fits(choice, value, name) for choice in kind.types):
        raise _wrong_type(name, " or ".join(describe(choice) for choice in kind.types))


def _validate_object(kind: Object, value: Any, name: str) -> None:
    if type(value) is not dict:
        raise _wrong_type(name, "object")
    prefix = f"{name}." if name else ""
    for member in kind.members:
        if member.name in value:
            validate(member.type, value[member.name], prefix + member.name)
        elif member.required:
            raise InvalidParameter(f"Parameter '{prefix}{member.name}' is missing")
    if not kind.open and not value.keys() <= {member.name for member in kind.members}:
        known = {member.name for member in kind.members}
        stranger = next(key for key in value if key not in known)
        raise InvalidParameter(f"Parameter '{prefix}{stranger[:MAX_SHOWN]}' is unexpected")


def _validate_enumeration(kind: Enumeration, value: Any, name: str) -> None:
    if type(value) is not str:
        raise _wrong_type(name, "string")
    if value not in kind.values:
        raise InvalidParameter(f"Parameter '{name}' does not accept value '{value[:MAX_SHOWN]}'")


def _fits_scalar(name: str, value: Any) -> bool:
    if name == "any":
        return True
    if name == "int":
        return type(value) is int and INT64_MIN <= value <= INT64_MAX
    if name == "number":
        return type(value) in (int, float)
    return type(value) is {"str": str, "bool": bool, "null": type(None)}[name]


def _fits(kind: Type, value: Any, name: str) -> bool:
    try:
        validate(kind, value, name)
    except InvalidParameter:
        return False
    return True


def _wrong_type(name: str, expected: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid parameter type for '{name}', expected: {expected}")


def describe(kind: Type) -> str:
    """A type in a few words, as QEMU's error texts and the reference pages name it."""
    if isinstance(kind, Scalar):
        return _JSON_NAMES.get(kind.name, kind.name)
    if isinstance(kind, Array):
        return f"array of {describe(kind.items)}"
    if isinstance(kind, Enumeration):
        return " | ".join(f'"{value}"' for value in kind.values)
    if isinstance(kind, Alternate):
        return " or ".join(describe(choice) for choice in kind.types)
    return kind.name or "object"
