"""What a command and an event are, and the tables that hold the known ones."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from guestmux_protocol import schema
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.schema import InvalidParameter, Object, Type
from guestmux_protocol.schema_notation import SchemaError, from_notation
from guestmux_protocol.schema_python import from_python

MAX_SCHEMA_TEXT = 16 * 1024
"""Characters of one declared schema: a hundred documented arguments."""

MAX_NAME_LENGTH = 128
"""Characters of a command's or event's name: twice the longest in use."""

_COMMAND_MEMBERS = ("data", "returns", "doc", "stream")
_EVENT_MEMBERS = ("data", "returns", "doc")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|__[A-Za-z0-9.-]+_[A-Za-z0-9_.-]+")

Keep = Literal["every", "last", "bounded", "none"]
"""How the journal keeps an event: every one, the last value, a bounded number, or not at all (design § 9)."""


class DeclaredNameError(GuestmuxError):
    """A declared name is no command's or event's name."""


class Arguments(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True, omit_defaults=True
):
    """Base of the typed arguments and results: kebab-case on the wire, unknown members refused."""


class Data(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", omit_defaults=True):
    """Base of what we send: kebab-case on the wire; readers ignore members that they do not know."""


@dataclass(frozen=True)
class Command:
    """A command: its name, what it takes, what it gives.

    Attributes:
        name: on the wire.
        doc: one paragraph for people.
        arguments: the type of its arguments.
        returns: the type of its result.
        python: the class that its arguments are built as; None for a command that an agent declared.
        success_response: False: only a failure is answered, since a success leaves nobody to answer (QAPI's
            `success-response`).
        stream: True: it opens a stream, on the mux dialect alone; `returns` is what it answers when that is open.
    """

    name: str
    doc: str
    arguments: Object
    returns: Type
    python: type[Arguments] | None = None
    success_response: bool = True
    stream: bool = False

    def check(self, arguments: dict[str, Any]) -> None:
        """Validate decoded arguments.

        Raises:
            InvalidParameter: with QEMU's text.
        """
        schema.validate(self.arguments, arguments)

    def parse(self, arguments: dict[str, Any]) -> Any:
        """Validate decoded arguments and build the typed ones, which an agent's declared command has none of.

        Raises:
            InvalidParameter: with QEMU's text, or with msgspec's for a bound that QAPI cannot express.
        """
        self.check(arguments)
        if self.python is None:
            return arguments
        try:
            return msgspec.convert(arguments, self.python)
        except msgspec.ValidationError as error:
            raise InvalidParameter(f"Invalid parameter: {error}") from error


@dataclass(frozen=True)
class EventType:
    """An event: its name, its data, and how the journal keeps it."""

    name: str
    doc: str
    data: Object
    keep: Keep = "every"


CommandClass = TypeVar("CommandClass", bound=type[Arguments])
EventClass = TypeVar("EventClass", bound=type[Data])


def command(
    table: dict[str, Command],
    name: str,
    returns: Any,
    *,
    success_response: bool = True,
    stream: bool = False,
) -> Callable[[CommandClass], CommandClass]:
    """Enter a class of arguments into a table of commands; its docstring is the command's documentation."""

    def enter(cls: CommandClass) -> CommandClass:
        arguments = from_python(cls)
        assert isinstance(arguments, Object)
        doc = inspect.cleandoc(cls.__doc__ or "")
        table[name] = Command(name, doc, arguments, from_python(returns), cls, success_response, stream)
        return cls

    return enter


def event(table: dict[str, EventType], name: str, keep: Keep = "every") -> Callable[[EventClass], EventClass]:
    """Enter a class of data into a table of events; its docstring is the event's documentation."""

    def enter(cls: EventClass) -> EventClass:
        data = from_python(cls)
        assert isinstance(data, Object)
        table[name] = EventType(name, inspect.cleandoc(cls.__doc__ or ""), data, keep)
        return cls

    return enter


def doc(text: str) -> msgspec.Meta:
    """A member's sentence for the reference pages, as metadata of its type."""
    return msgspec.Meta(description=text)


def declared_command(untrusted_name: str, untrusted_schema: str) -> Command:
    """A command as an agent declares it.

    Args:
        untrusted_name: its name.
        untrusted_schema: JSON text `{"data": {...}, "returns": ..., "doc": "...", "stream": true}`, MAX_SCHEMA_TEXT
            at most; any argument is taken without "data".

    Raises:
        DeclaredNameError: the name is none.
        SchemaError: the schema cannot be read.
    """
    name = _checked_name(untrusted_name)
    notation = _declaration(name, untrusted_schema, _COMMAND_MEMBERS)
    if not isinstance(stream := notation.get("stream", False), bool):
        raise SchemaError(f"{name}: stream must be true or false")
    arguments = _object(notation.get("data"), f"{name}: data")
    returns = from_notation(notation.get("returns", "any"), f"{name}: returns")
    return Command(name, notation.get("doc", ""), arguments, returns, stream=stream)


def declared_event(untrusted_name: str, untrusted_schema: str) -> EventType:
    """An event as an agent declares it.

    Raises:
        DeclaredNameError: the name is none.
        SchemaError: the schema cannot be read.
    """
    name = _checked_name(untrusted_name)
    notation = _declaration(name, untrusted_schema, _EVENT_MEMBERS)
    data = _object(notation.get("data"), f"{name}: data")
    return EventType(name, notation.get("doc", ""), data, "bounded")


def _checked_name(untrusted_name: str) -> str:
    if len(untrusted_name) > MAX_NAME_LENGTH or not _NAME.fullmatch(untrusted_name):
        raise DeclaredNameError(f"'{untrusted_name[:MAX_NAME_LENGTH]}' is no name for a command or event")
    return untrusted_name


def _declaration(name: str, untrusted_schema: str, members: tuple[str, ...]) -> dict[str, Any]:
    if len(untrusted_schema) > MAX_SCHEMA_TEXT:
        raise SchemaError(f"{name}: the schema is longer than {MAX_SCHEMA_TEXT} characters")
    try:
        notation = decode(untrusted_schema.encode() or b"{}")
    except (JsonError, UnicodeEncodeError) as error:
        raise SchemaError(f"{name}: the schema is no JSON: {error}") from error
    if not isinstance(notation, dict) or not notation.keys() <= set(members):
        *others, last = (f'"{member}"' for member in members)
        raise SchemaError(
            f"{name}: the schema must be a JSON object with {', '.join(others)} and {last}, all optional"
        )
    if not isinstance(notation.get("doc", ""), str):
        raise SchemaError(f"{name}: doc must be a string")
    return notation


def _object(notation: Any, where: str) -> Object:
    if notation is None:
        return schema.ANYTHING
    kind = from_notation(notation, where)
    if not isinstance(kind, Object):
        raise SchemaError(f"{where} must be an object of members")
    return kind
