"""What an agent declared when it registered, read as eventd reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guestmux_protocol.events import OF_AGENTS
from guestmux_protocol.guest import GUEST
from guestmux_protocol.registry import (
    Command,
    DeclaredNameError,
    EventType,
    declared_command,
    declared_event,
)
from guestmux_protocol.schema_notation import SchemaError
from guestmux_protocol.session_commands import SESSION
from guestmux_transport.errors import InvalidValue
from guestmux_transport.values import Variant, to_json

KNOWN = {**SESSION, **GUEST}
"""Commands whose schema is known, whatever an agent says of it."""


@dataclass
class Declared:
    """Properties, with what could not be read.

    Attributes:
        version: for people.
        claim: the session that it claims; empty for none.
        large: whether it takes large messages as memfds.
        commands: by name, those that could be read.
        events: likewise.
        property_faults: what is wrong with the properties themselves.
        command_faults: what is wrong with commands.
        event_faults: what is wrong with events.
    """

    version: str = ""
    claim: str = ""
    large: bool = False
    commands: dict[str, Command] = field(default_factory=dict)
    events: dict[str, EventType] = field(default_factory=dict)
    property_faults: list[str] = field(default_factory=list)
    command_faults: list[str] = field(default_factory=list)
    event_faults: list[str] = field(default_factory=list)


def read_properties(untrusted_properties: dict[str, Variant]) -> Declared:
    """Read RegisterAgent's properties; what is wrong with them is noted."""
    declared = Declared()
    for name, variant in untrusted_properties.items():
        reader = _READERS.get(name)
        if reader is None:
            declared.property_faults.append(f"the property '{name[:100]}' is unknown")
        else:
            reader(declared, name, variant)
    return declared


def _text(declared: Declared, name: str, variant: Variant) -> None:
    if variant.signature != "s":
        declared.property_faults.append(f"the property '{name}' is of type {variant.signature}, not s")
    elif name == "version":
        declared.version = variant.value
    else:
        declared.claim = variant.value


def _large(declared: Declared, name: str, variant: Variant) -> None:
    if variant.signature != "b":
        declared.property_faults.append(f"the property '{name}' is of type {variant.signature}, not b")
    else:
        declared.large = variant.value


def _commands(declared: Declared, name: str, variant: Variant) -> None:
    for each, text in _texts(declared, name, variant).items():
        try:
            declared.commands[each] = KNOWN.get(each) or declared_command(each, text)
        except (DeclaredNameError, SchemaError) as error:
            declared.command_faults.append(str(error))


def _events(declared: Declared, name: str, variant: Variant) -> None:
    for each, text in _texts(declared, name, variant).items():
        try:
            declared.events[each] = OF_AGENTS.get(each) or declared_event(each, text)
        except (DeclaredNameError, SchemaError) as error:
            declared.event_faults.append(str(error))


def _texts(declared: Declared, name: str, variant: Variant) -> dict[str, str]:
    """Names with schemas; from `as` names with none."""
    try:
        value: Any = to_json(variant)
    except InvalidValue as error:
        declared.property_faults.append(f"the property '{name}': {error}")
        return {}
    if isinstance(value, list):
        value = dict.fromkeys(map(str, value), "")
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    declared.property_faults.append(
        f"the property '{name}' is of type {variant.signature}, not a{{ss}} or as"
    )
    return {}


_READERS = {
    "version": _text,
    "session": _text,
    "large-messages": _large,
    "commands": _commands,
    "events": _events,
}
