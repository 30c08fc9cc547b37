"""Checks on what an agent declared; nothing is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from guestmux_protocol.commands import NATIVE, Routing
from guestmux_protocol.events import OF_AGENTS
from guestmux_session.check.declared import KNOWN, Declared
from guestmux_session.check.findings import Finding, failed, of_faults, passed, skipped
from guestmux_session.check.played_eventd import Registration

MAX_TEXT = 128
"""Characters of a name and a version."""

RESERVED_MEMBERS = frozenset({"epoch", "seq", "source", "session", "user", "agent", "late", "subscription"})
"""Members of every event of an agent that eventd itself fills in."""

ROUTING_ARGUMENTS = frozenset(Routing.__struct_encode_fields__)
"""Arguments that eventd takes out of a command before an agent sees it."""

SHARED = "guest-get-users"
"""The one command of eventd's own that agents may serve too."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PREFIX = "__"


def declaration_checks(agent: Registration, wanted_name: str) -> Iterator[Finding]:
    """All of them."""
    declared = agent.declared
    yield _name(agent, wanted_name)
    yield _version(declared)
    yield of_faults(
        "properties",
        declared.property_faults,
        "all known and of their types",
        "see RegisterAgent in docs/agents.md: eventd refuses the registration",
    )
    yield of_faults(
        "commands",
        [*declared.command_faults, *_command_faults(declared)],
        f"{len(declared.commands)} with good names and schemas",
        "eventd refuses the registration; a schema is JSON text such as "
        '{"data": {"text": "str", "*urgency": "int"}, "returns": "int", "doc": "one line"}',
    )
    yield _described(declared)
    yield of_faults(
        "events",
        [*declared.event_faults, *_event_faults(declared)],
        f"{len(declared.events)} with good names and schemas",
        "eventd refuses the registration; an event's name is such as __org.example_DONE, its schema JSON text such as "
        '{"data": {"size": "int"}, "doc": "one line"}',
    )


def _name(agent: Registration, wanted_name: str) -> Finding:
    if agent.name != wanted_name:
        text = f"it registered as '{agent.name[:MAX_TEXT]}', not as '{wanted_name}'"
        return failed("name", text, "give check-agent the name that the agent registers with")
    if len(agent.name) > MAX_TEXT or not _NAME.fullmatch(agent.name):
        return failed(
            "name",
            "it is none that eventd takes",
            "1 to 128 letters, digits, '.', '_' and '-', as org.example.clock",
        )
    return passed("name", agent.name)


def _version(declared: Declared) -> Finding:
    if not declared.version:
        return skipped("version", "it has none", "give the property 'version': hosts show it to people")
    if len(declared.version) > MAX_TEXT:
        return failed("version", f"it has {len(declared.version)} characters", f"at most {MAX_TEXT}")
    return passed("version", declared.version)


def _command_faults(declared: Declared) -> Iterator[str]:
    for name, command in declared.commands.items():
        if name not in KNOWN and name != SHARED and (not name.startswith(_PREFIX) or name in NATIVE):
            yield f"'{name}' has no downstream prefix, as __org.example_{name}"
        if taken := ROUTING_ARGUMENTS & {member.name for member in command.arguments.members}:
            yield f"'{name}' declares '{min(taken)}', which is an argument for eventd"


def _event_faults(declared: Declared) -> Iterator[str]:
    for name, event in declared.events.items():
        if name not in OF_AGENTS and not name.startswith(_PREFIX):
            yield f"'{name}' has no downstream prefix, as __org.example_{name}"
        if taken := RESERVED_MEMBERS & {member.name for member in event.data.members}:
            yield f"'{name}' declares '{min(taken)}', which eventd fills in itself"


def _described(declared: Declared) -> Finding:
    """Without a schema a command works, but nobody can know how to call it."""
    bare = sorted(
        name for name, command in declared.commands.items() if command.arguments.open or not command.doc
    )
    if not declared.commands:
        return skipped("documentation", "it serves no command")
    if bare:
        text = f"'{bare[0]}' has no `data` or no `doc`: hosts see it, and not how to call it"
        return skipped("documentation", text, "declare both, for `guestmux schema`")
    return passed("documentation", "every command says what it takes, and what it does")
