"""Arguments that no command takes, made from the schema of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guestmux_protocol.guest import GUEST
from guestmux_protocol.registry import Command
from guestmux_protocol.schema import BOOL, INT, STR, Array, Enumeration, InvalidParameter, Object, Type

WRONG: list[Any] = [
    None,
    True,
    1,
    -1,
    1.5,
    1e300,
    2**63,
    -(2**63) - 1,
    2**64,
    "",
    "x",
    "1",
    [],
    [[]],
    {},
    {"x": 1},
]
"""Values, most of which fit no given type."""

NAMES = ["x", "", "a" * 100, "é", "a\0b", "path\n"]
"""Members that no command has."""


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Commands with arguments that their schema refuses, so that none of them is ever run."""
    for name, command in sorted(GUEST.items()):
        for arguments in _arguments(command):
            if _is_refused(command, arguments):
                yield name, arguments


def _arguments(command: Command) -> Iterator[dict[str, Any]]:
    members = command.arguments.members
    good = {member.name: sample(member.type) for member in members if member.required}
    yield from ({**good, name: 1} for name in NAMES)
    yield from ({name: value for name, value in good.items() if name != left_out} for left_out in good)
    yield {name.upper(): value for name, value in good.items()}
    for member in members:
        for value in WRONG:
            yield {**good, member.name: value}
            yield {**good, member.name: [value]}
        for inner in _inner(member.type):
            yield {**good, member.name: inner}


def _inner(kind: Type) -> Iterator[Any]:
    """Containers with something wrong inside."""
    if isinstance(kind, Array):
        yield from ([sample(kind.items), wrong] for wrong in WRONG)
        yield from ([inner] for inner in _inner(kind.items))
    elif isinstance(kind, Object) and kind.members:
        good = sample(kind)
        yield {**good, "x": 1}
        for member in kind.members:
            yield {name: value for name, value in good.items() if name != member.name}
            yield from ({**good, member.name: wrong} for wrong in WRONG)


def sample(kind: Type) -> Any:
    """A value of a type, as harmless as can be."""
    if isinstance(kind, Array):
        return []
    if isinstance(kind, Object):
        return {member.name: sample(member.type) for member in kind.members if member.required}
    if isinstance(kind, Enumeration):
        return min(kind.values)
    samples: dict[Any, Any] = {STR: "/no/such/thing", INT: -1, BOOL: False}
    return samples.get(kind, -1)


def _is_refused(command: Command, arguments: dict[str, Any]) -> bool:
    try:
        command.check(arguments)
    except InvalidParameter:
        return True
    return False
