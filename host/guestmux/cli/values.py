"""Arguments of commands as people type them: NAME=VALUE by the guest's schema, NAME:=JSON as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from msgspec import Struct

from guestmux.schema import Described
from guestmux_protocol.json_text import JsonError, decode

_ROUTING = {"session": "str", "wait": "number", "timeout": "number"}
"""What eventd takes out of any command that an agent serves; no command's schema has it."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class Assignment(Struct, frozen=True):
    """One argument as it was typed.

    Args:
        name: the argument's.
        text: what followed the sign.
        typed: True for `=`, whose text is read by the schema; False for `:=`, whose text is JSON.
    """

    name: str
    text: str
    typed: bool


def parse_assignment(text: str) -> Assignment:
    """Read `NAME=VALUE` or `NAME:=JSON`.

    Raises:
        click.BadParameter: it is neither.
    """
    name, sign, value = text.partition("=")
    if not sign or name in ("", ":"):
        raise click.BadParameter(f"'{text}' is neither NAME=VALUE nor NAME:=JSON")
    if name.endswith(":"):
        return Assignment(name[:-1], value, typed=False)
    return Assignment(name, value, typed=True)


def parse_object(text: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        click.BadParameter: it is none.
    """
    value = _parse_json("--json", text)
    if not isinstance(value, dict):
        raise click.BadParameter('a JSON object is expected, as \'{"name": "value"}\'', param_hint="--json")
    return value


def typed_arguments(assignments: Iterable[Assignment], described: Described | None) -> dict[str, Any]:
    """The arguments to send.

    Args:
        assignments: as typed.
        described: the command in the guest's schema; without it every `=` gives a string.

    Raises:
        click.BadParameter: a value does not fit its type, or is no JSON, or a name comes twice that is no list's.
    """
    arguments: dict[str, Any] = {}
    for assignment in assignments:
        name = assignment.name
        kind = _kind(name, described) if assignment.typed else ""
        value = (
            read_value(name, assignment.text, kind)
            if assignment.typed
            else _parse_json(name, assignment.text)
        )
        if name not in arguments:
            arguments[name] = value
        elif kind.startswith("[") and isinstance(arguments[name], list):
            arguments[name] = [*arguments[name], *value]
        else:
            raise click.BadParameter(f"'{name}' is given twice")
    return arguments


def read_value(name: str, text: str, kind: str) -> Any:
    """Read text as a type.

    Args:
        name: the argument's, for the error.
        text: what was typed.
        kind: the type in QAPI's notation; see `guestmux.schema.Parameter`.

    Raises:
        click.BadParameter: it does not fit.
    """
    if reader := _READERS.get(kind):
        try:
            return reader(text)
        except ValueError:
            raise click.BadParameter(f"'{name}' expects {kind}, not '{text}'") from None
    if kind.startswith("[") and not text.startswith("["):
        return [read_value(name, text, kind[1:-1])]
    if kind.startswith(("[", "{")) or kind in ("object", "null"):
        return _parse_json(name, text)
    return text


def _kind(name: str, described: Described | None) -> str:
    parameter = described.parameter(name) if described else None
    return parameter.type if parameter else _ROUTING.get(name, "str")


def _parse_json(name: str, text: str) -> Any:
    try:
        return decode(text.encode("utf-8", "surrogateescape"))
    except JsonError as error:
        raise click.BadParameter(f"the value of '{name}' is no JSON: {error.desc}") from error


def _read_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(text)
    return lowered in _TRUE


def _read_number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


_READERS: dict[str, Callable[[str], Any]] = {"int": int, "number": _read_number, "bool": _read_bool}
