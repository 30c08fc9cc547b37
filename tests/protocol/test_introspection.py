"""Introspection: every type that is named is there, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.commands import NATIVE
from guestmux_protocol.events import EVENTS
from guestmux_protocol.introspection import FREE_FORM, introspect
from guestmux_protocol.registry import Command, EventType
from guestmux_protocol.schema import (
    ANY,
    ANYTHING,
    INT,
    NOTHING,
    NULL,
    STR,
    Alternate,
    Array,
    Enumeration,
    Member,
    Object,
    Type,
)
from guestmux_protocol.session_commands import SESSION
from tests.support.schema_types import TYPES


def references(entity: dict[str, Any]) -> Iterator[str]:
    for key in ("arg-type", "ret-type", "element-type"):
        if key in entity:
            yield entity[key]
    if entity["meta-type"] in ("object", "alternate"):
        yield from (member["type"] for member in entity["members"])


def check(entities: list[dict[str, Any]]) -> None:
    names = [entity["name"] for entity in entities]
    assert len(set(names)) == len(names)
    for entity in entities:
        assert set(names).issuperset(references(entity))


def test_commands_events_and_their_types() -> None:
    mode = Enumeration(("a", "b"))
    arguments = Object((Member("mode", mode), Member("ref", Alternate((STR, NULL)), required=False)))
    commands = [Command("x", "", arguments, Array(INT)), Command("y", "", NOTHING, ANY)]
    events = [EventType("E", "", ANYTHING)]
    entities = introspect(commands, events)
    check(entities)
    assert entities == [
        {"name": "x", "meta-type": "command", "arg-type": "0", "ret-type": "[int]"},
        {"name": "y", "meta-type": "command", "arg-type": "7", "ret-type": "any"},
        {"name": "E", "meta-type": "event", "arg-type": "9"},
        *entities[3:],
    ]
    by_name = {entity.pop("name"): entity for entity in entities[3:]}
    assert by_name == {
        "0": {
            "meta-type": "object",
            "members": [{"name": "mode", "type": "1"}, {"name": "ref", "type": "2", "default": None}],
        },
        "1": {"meta-type": "enum", "members": [{"name": "a"}, {"name": "b"}], "values": ["a", "b"]},
        "2": {"meta-type": "alternate", "members": [{"type": "str"}, {"type": "null"}]},
        "str": {"meta-type": "builtin", "json-type": "string"},
        "null": {"meta-type": "builtin", "json-type": "null"},
        "[int]": {"meta-type": "array", "element-type": "int"},
        "int": {"meta-type": "builtin", "json-type": "int"},
        "7": {"meta-type": "object", "members": []},
        "any": {"meta-type": "builtin", "json-type": "value"},
        "9": {"meta-type": "object", "members": [], "features": [FREE_FORM]},
    }


def test_all_that_guestmux_has() -> None:
    check(introspect([*NATIVE.values(), *SESSION.values()], EVENTS.values()))


@given(st.lists(TYPES, max_size=4))
def test_every_type_is_described_once(kinds: list[Type]) -> None:
    entities = introspect([Command(f"c{i}", "", NOTHING, kind) for i, kind in enumerate(kinds)], [])
    check(entities)
