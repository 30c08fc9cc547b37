"""Reads the data of an agent's event from JSON text: checked against its schema, and fit to be passed on as it is.

Most events are small and flat, and come by the thousand: for their schemas a decoder is compiled that checks while it
reads. What that does not take is read slowly, which also says in QEMU's words what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guestmux_eventd.refusal import INVALID_ARGUMENT, Refusal
from guestmux_protocol.json_text import JsonError, decode, encode
from guestmux_protocol.registry import EventType
from guestmux_protocol.schema import (
    INT64_MAX,
    INT64_MIN,
    Array,
    Enumeration,
    InvalidParameter,
    Object,
    Scalar,
    Type,
    validate,
)

RESERVED_MEMBERS = frozenset({"epoch", "seq", "source", "session", "user", "agent", "late", "subscription"})
"""Members of every event of an agent that eventd itself fills in."""

MAX_COMPILED = 32
"""Types in a schema that is compiled, some 200 bytes each that stay: agents are many, and declare what they like."""

_PLAIN = re.compile(r'[^\\"\x00-\x1f]*')
"""What msgspec takes for a member's name."""

_INT = Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)]
_PYTHON: dict[str, Any] = {"str": str, "int": _INT, "number": _INT | float, "bool": bool, "null": None}

_write = msgspec.json.Encoder().encode


class EventReader:
    """Reads the data of one event.

    Args:
        event: what the agent declared.
    """

    def __init__(self, event: EventType) -> None:
        self._event = event
        self._decode = _compiled(event.data)

    def __repr__(self) -> str:
        return f"<EventReader {self._event.name} {'compiled' if self._decode else 'slow'}>"

    def members(self, untrusted_text: bytes) -> bytes:
        """The members of the data, as JSON text in ASCII without the braces; each once, and none that was not declared.

        Raises:
            Refusal: it is no JSON, does not fit the schema, or has a member of RESERVED_MEMBERS.
        """
        if self._decode is not None:
            try:
                text = _write(self._decode(untrusted_text))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return self._read_slowly(untrusted_text)
            if text.isascii():
                return text[1:-1]
        return self._read_slowly(untrusted_text)

    def _read_slowly(self, untrusted_text: bytes) -> bytes:
        try:
            data = decode(untrusted_text)
            check_event(self._event, data)
            return encode(data)[1:-1]
        except JsonError as error:
            raise Refusal(INVALID_ARGUMENT, error.desc) from error


def check_event(event: EventType, untrusted_data: Any) -> None:
    """Check an event's decoded data.

    Raises:
        Refusal: it does not fit what the agent declared, or has a member of RESERVED_MEMBERS.
    """
    try:
        validate(event.data, untrusted_data)
    except InvalidParameter as error:
        raise Refusal(INVALID_ARGUMENT, str(error)) from error
    if taken := RESERVED_MEMBERS & untrusted_data.keys():
        raise Refusal(INVALID_ARGUMENT, f"member '{min(taken)}' is filled in by eventd itself")


def _compiled(kind: Object) -> Any:
    """What decodes text of exactly this type; None where msgspec has no such type, or it would be large."""
    types = list(_all_types(kind))
    if len(types) > MAX_COMPILED or not all(map(_can_be_compiled, types)):
        return None
    return msgspec.json.Decoder(_python(kind)).decode


def _all_types(kind: Type) -> Iterator[Type]:
    yield kind
    inner = [member.type for member in kind.members] if isinstance(kind, Object) else []
    for part in [kind.items] if isinstance(kind, Array) else inner:
        yield from _all_types(part)


def _can_be_compiled(kind: Type) -> bool:
    if isinstance(kind, Object):
        return not kind.open and all(_PLAIN.fullmatch(member.name) for member in kind.members)
    return isinstance(kind, Array | Enumeration) or (isinstance(kind, Scalar) and kind.name in _PYTHON)


def _python(kind: Type) -> Any:
    """The Python type whose JSON texts are those of a type that can be compiled."""
    if isinstance(kind, Array):
        return list[_python(kind.items)]  # type: ignore[misc]  # made while it runs
    if isinstance(kind, Enumeration):
        return Literal[kind.values]
    return _struct(kind) if isinstance(kind, Object) else _PYTHON[kind.name]  # type: ignore[union-attr]


def _struct(kind: Object) -> Any:
    fields: list[Any] = []
    names: dict[str, str] = {}
    for number, member in enumerate(kind.members):
        # Members' names need not be Python's.
        names[name := f"m{number}"] = member.name
        python = _python(member.type)
        fields.append((name, python) if member.required else (name, python | UnsetType, UNSET))
    return msgspec.defstruct(
        "EventData", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
    )
