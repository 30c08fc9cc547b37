"""QAPI introspection (qapi/introspect.json): what guest-query-schema returns, and query-qmp-schema returns in QEMU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guestmux_protocol.registry import Command, EventType
from guestmux_protocol.schema import ANYTHING, Alternate, Array, Enumeration, Member, Scalar, Type

SchemaInfo = dict[str, Any]

FREE_FORM = "__org.guestmux_free-form"
"""The feature of an object that takes any members; QAPI's introspection has no word for it."""

STREAM = "__org.guestmux_stream"
"""The feature of a command that opens a stream (docs/mux.md)."""

_BUILTIN_JSON_TYPES = {
    "str": "string",
    "int": "int",
    "number": "number",
    "bool": "boolean",
    "null": "null",
    "any": "value",
}


def introspect(commands: Iterable[Command], events: Iterable[EventType]) -> list[SchemaInfo]:
    """Describe commands and events and every type that they use.

    Types are entities of their own, referred to by name; a type without a name gets a number, as QEMU gives it.
    """
    book = _Types()
    entities = [
        {
            "name": command.name,
            "meta-type": "command",
            "arg-type": book.refer(command.arguments),
            "ret-type": book.refer(command.returns),
            **({"features": [STREAM]} if command.stream else {}),
        }
        for command in commands
    ]
    entities += [
        {"name": event.name, "meta-type": "event", "arg-type": book.refer(event.data)} for event in events
    ]
    return entities + book.entities


class _Types:
    """The types met so far, each written once."""

    def __init__(self) -> None:
        self.entities: list[SchemaInfo] = []
        self._names: dict[Type, str] = {}

    def refer(self, kind: Type) -> str:
        if isinstance(kind, Array):
            kind = Array(kind.items)  # QAPI has no word for how long one may be
        name = self._names.get(kind)
        if name is None:
            name = self._names[kind] = self._name(kind)
            self.entities.append({"name": name, **self._describe(kind)})
        return name

    def _name(self, kind: Type) -> str:
        if isinstance(kind, Scalar):
            return kind.name
        if isinstance(kind, Array):
            return f"[{self.refer(kind.items)}]"
        return str(len(self._names))

    def _describe(self, kind: Type) -> SchemaInfo:
        if isinstance(kind, Scalar):
            return {"meta-type": "builtin", "json-type": _BUILTIN_JSON_TYPES[kind.name]}
        if isinstance(kind, Array):
            return {"meta-type": "array", "element-type": self.refer(kind.items)}
        if isinstance(kind, Enumeration):
            members = [{"name": value} for value in kind.values]
            return {"meta-type": "enum", "members": members, "values": list(kind.values)}
        if isinstance(kind, Alternate):
            return {
                "meta-type": "alternate",
                "members": [{"type": self.refer(choice)} for choice in kind.types],
            }
        entity = {"meta-type": "object", "members": [self._member(member) for member in kind.members]}
        return {**entity, "features": [FREE_FORM]} if kind == ANYTHING else entity

    def _member(self, member: Member) -> SchemaInfo:
        entity: SchemaInfo = {"name": member.name, "type": self.refer(member.type)}
        # QAPI marks an optional member by a default, which is null when the schema names none.
        return entity if member.required else {**entity, "default": None}
