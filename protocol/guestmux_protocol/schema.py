"""QAPI's types as data, and validation with QEMU's own error texts (qapi/qobject-input-visitor.c).

Deliberate differences: an enum's error gives the parameter's full name, where QEMU gives its last part, or `null` for
a list's item; and long text of the other side is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guestmux_protocol.errors import MAX_SHOWN, GuestmuxError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class InvalidParameter(GuestmuxError):
    """A value does not fit its type. The text is the one that QEMU gives."""


@dataclass(frozen=True)
class Scalar:
    """One of QAPI's built-in types: str, int, number, bool, null, any."""

    name: str


@dataclass(frozen=True)
class Array:
    """A list of one type.

    Attributes:
        items: what is in it.
        longest: items at most, where it is bounded: a list of a million is refused before each of them is looked at.
    """

    items: Type
    longest: int | None = None


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
    """A member of an object.

    Attributes:
        name: on the wire.
        type: what its value is.
        required: False: it may be left out.
        doc: a sentence for people.
        default: what leaving it out means, as JSON text; empty where that is a case of its own.
    """

    name: str
    type: Type
    required: bool = True
    doc: str = field(default="", compare=False)
    default: str = field(default="", compare=False)


@dataclass(frozen=True)
class Object:
    """A JSON object.

    Attributes:
        members: those that it knows.
        open: True: it takes others as well.
        name: the Python class that it was made from; empty for one without.
        doc: a paragraph for people.
    """

    members: tuple[Member, ...] = ()
    open: bool = False
    name: str = ""
    doc: str = field(default="", compare=False)


Type = Scalar | Array | Enumeration | Alternate | Object

STR, INT, NUMBER, BOOL, NULL, ANY = (Scalar(n) for n in ("str", "int", "number", "bool", "null", "any"))
NOTHING = Object()
ANYTHING = Object(open=True)

_JSON_NAMES = {"str": "string", "int": "integer", "number": "number", "bool": "boolean", "null": "null"}

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "number": (int, float),
    "bool": (bool,),
    "null": (type(None),),
    "any": (str, int, float, bool, type(None), list, dict),
}


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
            raise _wrong_type(name, describe(kind))
    elif isinstance(kind, Array):
        if type(value) is not list:
            raise _wrong_type(name, "array")
        if kind.longest is not None and len(value) > kind.longest:
            raise InvalidParameter(f"Parameter '{name}' has more than {kind.longest} items")
        for index, item in enumerate(value):
            validate(kind.items, item, f"{name}[{index}]")
    elif isinstance(kind, Enumeration):
        _validate_enumeration(kind, value, name)
    else:
        _validate_alternate(kind, value, name)


def _validate_object(kind: Object, value: Any, name: str) -> None:
    if type(value) is not dict:
        raise _wrong_type(name, "object")
    prefix = f"{name}." if name else ""
    found = 0
    for member in kind.members:
        if member.name in value:
            found += 1
            validate(member.type, value[member.name], prefix + member.name)
        elif member.required:
            raise InvalidParameter(f"Parameter '{prefix}{member.name}' is missing")
    if not kind.open and found < len(value):
        known = {member.name for member in kind.members}
        stranger = next(stranger for stranger in value if stranger not in known)
        raise InvalidParameter(f"Parameter '{prefix}{stranger[:MAX_SHOWN]}' is unexpected")


def _validate_enumeration(kind: Enumeration, value: Any, name: str) -> None:
    if type(value) is not str:
        raise _wrong_type(name, "string")
    if value not in kind.values:
        raise InvalidParameter(f"Parameter '{name}' does not accept value '{value[:MAX_SHOWN]}'")


def _validate_alternate(kind: Alternate, value: Any, name: str) -> None:
    """The JSON type decides which of the types is meant, and that one says what is wrong."""
    for choice in kind.types:
        if type(value) in _python_types(choice):
            return validate(choice, value, name)
    raise _wrong_type(name, describe(kind))


def _fits_scalar(name: str, value: Any) -> bool:
    if type(value) not in _PYTHON_TYPES[name]:
        return False
    return name != "int" or INT64_MIN <= value <= INT64_MAX


def _python_types(kind: Type) -> tuple[type, ...]:
    """The Python types of the decoded JSON values that a type may take."""
    if isinstance(kind, Scalar):
        return _PYTHON_TYPES[kind.name]
    if isinstance(kind, Alternate):
        return tuple(kind for choice in kind.types for kind in _python_types(choice))
    if isinstance(kind, Array):
        return (list,)
    return (str,) if isinstance(kind, Enumeration) else (dict,)


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
