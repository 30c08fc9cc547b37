"""The guest's schema, as guest-query-schema tells it in QAPI's introspection format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guestmux.errors import UnexpectedReply

MAX_DEPTH = 4
"""How deep a type is spelt out; deeper, and where types refer to themselves, `object` stands for it."""


@dataclass(frozen=True)
class Parameter:
    """A member of a command's arguments or an event's data.

    Attributes:
        name: on the wire.
        type: in QAPI's notation: `str`, `[int]`, `a | b | c` for an enumeration, `{...}`.
        required: whether it has to be given.
    """

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Described:
    """A command or an event.

    Attributes:
        name: on the wire.
        parameters: what it takes, or for an event what it tells.
        returns: a command's result; empty for an event.
        open: whether it takes any member beyond these.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    returns: str = ""
    open: bool = False

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of this name."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


class GuestSchema:
    """Commands and events of a guest.

    Args:
        entities: QAPI's SchemaInfo objects.

    Attributes:
        commands: by name.
        events: by name.
        entities: as the guest sent them.
    """

    def __init__(self, entities: list[dict[str, Any]]) -> None:
        self.entities = entities
        self._by_name = {entity["name"]: entity for entity in entities}
        self.commands = {entity["name"]: self._describe(entity) for entity in self._of("command")}
        self.events = {entity["name"]: self._describe(entity) for entity in self._of("event")}

    def __repr__(self) -> str:
        return f"<GuestSchema {len(self.commands)} commands, {len(self.events)} events>"

    @classmethod
    def read(cls, untrusted_value: Any) -> GuestSchema:
        """The schema in a guest's reply.

        Raises:
            UnexpectedReply: it is none.
        """
        if not isinstance(untrusted_value, list):
            raise UnexpectedReply("the guest's answer to guest-query-schema is no list")
        for entity in untrusted_value:
            if not isinstance(entity, dict) or not isinstance(entity.get("name"), str):
                raise UnexpectedReply("the guest's answer to guest-query-schema has an entity without a name")
        return cls(untrusted_value)

    def _of(self, meta_type: str) -> list[dict[str, Any]]:
        found = [entity for entity in self.entities if entity.get("meta-type") == meta_type]
        return sorted(found, key=lambda entity: str(entity["name"]))

    def _describe(self, entity: dict[str, Any]) -> Described:
        arguments = self._entity(entity.get("arg-type"))
        returns = self._notation(entity["ret-type"], 0) if "ret-type" in entity else ""
        parameters = tuple(self._parameter(member, 0) for member in _members(arguments))
        return Described(entity["name"], parameters, returns)

    def _parameter(self, member: dict[str, Any], depth: int) -> Parameter:
        # QAPI marks an optional member by a default.
        return Parameter(
            str(member.get("name")), self._notation(member.get("type"), depth + 1), "default" not in member
        )

    def _entity(self, name: Any) -> dict[str, Any]:
        return self._by_name.get(name, {}) if isinstance(name, str) else {}

    def _notation(self, name: Any, depth: int) -> str:
        entity = self._entity(name)
        meta_type = entity.get("meta-type")
        if depth > MAX_DEPTH or meta_type is None:
            return "any" if meta_type is None else "object"
        if meta_type == "builtin":
            return str(name)
        if meta_type == "array":
            return f"[{self._notation(entity.get('element-type'), depth + 1)}]"
        if meta_type == "enum":
            return " | ".join(str(member.get("name")) for member in _members(entity))
        if meta_type == "alternate":
            return " or ".join(self._notation(member.get("type"), depth + 1) for member in _members(entity))
        return self._object(entity, depth)

    def _object(self, entity: dict[str, Any], depth: int) -> str:
        members = [self._parameter(member, depth) for member in _members(entity)]
        return "{" + ", ".join(f"{'' if m.required else '*'}{m.name}: {m.type}" for m in members) + "}"


def _members(entity: dict[str, Any]) -> list[dict[str, Any]]:
    members = entity.get("members")
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []
