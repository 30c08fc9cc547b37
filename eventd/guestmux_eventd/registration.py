"""What an agent says of itself when it registers, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from guestmux_eventd.agent_table import SHARED
from guestmux_eventd.refusal import INVALID_ARGUMENT, LIMIT_EXCEEDED, Refusal
from guestmux_protocol.commands import NATIVE
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

MAX_COMMANDS = 256
"""Commands, and events, of one agent."""

MAX_DECLARED_TEXT = 128 * 1024
"""Characters of all schemas of one agent's commands, or events; read, each becomes about ten bytes that stay."""

MAX_TEXT = 128
"""Characters of an agent's name and version."""

KNOWN = {**SESSION, **GUEST, SHARED: NATIVE[SHARED]}
"""Commands whose schema is known: an agent that names one of them serves it as it is described here."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PROPERTIES = {"version", "commands", "events", "session", "large-messages"}


@dataclass(frozen=True)
class Declaration:
    """An agent's own words, with the right types and within the limits."""

    name: str
    version: str
    claim: str
    commands: dict[str, Command]
    events: dict[str, EventType]
    large: bool = False


def read_declaration(untrusted_name: str, untrusted_properties: dict[str, Variant]) -> Declaration:
    """Read RegisterAgent's arguments.

    Args:
        untrusted_name: what the agent calls itself.
        untrusted_properties: `version`, `commands`, `events`, `session`, `large-messages`; all optional.

    Raises:
        Refusal: InvalidArgument or LimitExceeded.
    """
    if len(untrusted_name) > MAX_TEXT or not _NAME.fullmatch(untrusted_name):
        raise Refusal(
            INVALID_ARGUMENT, f"an agent's name has 1 to {MAX_TEXT} letters, digits, '.', '_' and '-'"
        )
    if unknown := untrusted_properties.keys() - _PROPERTIES:
        raise Refusal(INVALID_ARGUMENT, f"unknown property '{min(unknown)[:MAX_TEXT]}'")
    try:
        commands = {
            name: KNOWN.get(name) or declared_command(name, text)
            for name, text in _declared(untrusted_properties, "commands").items()
        }
        events = {
            name: OF_AGENTS.get(name) or declared_event(name, text)
            for name, text in _declared(untrusted_properties, "events").items()
        }
    except (DeclaredNameError, SchemaError) as error:
        raise Refusal(INVALID_ARGUMENT, str(error)) from error
    version = _text(untrusted_properties, "version")
    claim, large = _text(untrusted_properties, "session"), _flag(untrusted_properties, "large-messages")
    return Declaration(untrusted_name, version, claim, commands, events, large)


def _text(untrusted_properties: dict[str, Variant], name: str) -> str:
    variant = untrusted_properties.get(name)
    if variant is None:
        return ""
    if variant.signature != "s" or len(variant.value) > MAX_TEXT:
        raise Refusal(
            INVALID_ARGUMENT, f"property '{name}' must be a string of at most {MAX_TEXT} characters"
        )
    return str(variant.value)


def _flag(untrusted_properties: dict[str, Variant], name: str) -> bool:
    variant = untrusted_properties.get(name, Variant("b", False))
    if variant.signature != "b":
        raise Refusal(INVALID_ARGUMENT, f"property '{name}' must be of type b")
    return bool(variant.value)


def _declared(untrusted_properties: dict[str, Variant], name: str) -> dict[str, str]:
    """Names with the JSON text of their schemas: from `a{ss}`, or `as` for names without a schema."""
    variant = untrusted_properties.get(name)
    if variant is None:
        return {}
    try:
        value: Any = to_json(variant)
    except InvalidValue as error:
        raise Refusal(INVALID_ARGUMENT, f"property '{name}': {error}") from error
    if isinstance(value, list):
        value = {item if isinstance(item, str) else "": "" for item in value}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Refusal(
            INVALID_ARGUMENT, f"property '{name}' must be of type a{{ss}} (name, JSON schema) or as"
        )
    if len(value) > MAX_COMMANDS:
        raise Refusal(LIMIT_EXCEEDED, f"at most {MAX_COMMANDS} {name} an agent")
    if sum(map(len, value.values())) > MAX_DECLARED_TEXT:
        raise Refusal(LIMIT_EXCEEDED, f"at most {MAX_DECLARED_TEXT} characters of schemas of {name} an agent")
    return value
