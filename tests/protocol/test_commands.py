"""The tables of commands and events: that they are whole, documented and consistent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from guestmux_protocol.commands import (
    NATIVE,
    QMP_ONLY,
    GuestAgentInfo,
    GuestEventSubscribe,
    Position,
    QmpCapabilities,
    SupportedCommand,
    take_routing,
)
from guestmux_protocol.events import EVENTS, STREAM_EVENTS, EventsLost, SessionLogin
from guestmux_protocol.guest import GUEST
from guestmux_protocol.json_text import encode
from guestmux_protocol.registry import Command, declared_command, declared_event
from guestmux_protocol.schema import Alternate, Array, InvalidParameter, Member, Object, Type
from guestmux_protocol.schema_notation import to_notation
from guestmux_protocol.session_commands import SESSION
from guestmux_protocol.sessions import AgentInfo, Session, SessionRef

AGENTS: dict[str, Command] = {**SESSION, **GUEST}
COMMANDS: dict[str, Command] = {**NATIVE, **AGENTS}


def members(kind: Type) -> Iterator[Member]:
    if isinstance(kind, Array):
        yield from members(kind.items)
    elif isinstance(kind, Alternate):
        for choice in kind.types:
            yield from members(choice)
    elif isinstance(kind, Object):
        for member in kind.members:
            yield member
            yield from members(member.type)


def test_no_name_is_taken_twice() -> None:
    assert len(COMMANDS) == len(NATIVE) + len(SESSION) + len(GUEST)
    assert NATIVE.keys() >= QMP_ONLY


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented_and_in_kebab_case(name: str) -> None:
    command = COMMANDS[name]
    assert command.name == name
    assert command.doc.split("\n")[0].endswith(("it.", "."))
    arguments = list(members(command.arguments))
    assert [member.name for member in arguments if "_" in member.name] == []


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_documented_and_in_kebab_case(name: str) -> None:
    assert EVENTS[name].doc.endswith(".")
    assert [member.name for member in members(EVENTS[name].data) if "_" in member.name] == []


@pytest.mark.parametrize("name", AGENTS)
def test_an_agents_command_takes_no_argument_that_eventd_takes_out(name: str) -> None:
    arguments = {member.name: 1 for member in AGENTS[name].arguments.members}
    assert take_routing(arguments) == ({}, arguments)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_can_declare_the_stock_agents_commands(name: str) -> None:
    text = encode({"data": to_notation(AGENTS[name].arguments), "doc": AGENTS[name].doc})
    declared = declared_command(name, text.decode()).arguments.members
    assert [member.name for member in declared] == [member.name for member in AGENTS[name].arguments.members]


def test_an_event_can_be_declared() -> None:
    assert declared_event("SESSION_IDLE", "").keep == "bounded"


def test_only_what_is_about_the_stream_has_no_number_of_its_own() -> None:
    assert {"EVENTS_LOST", "BEACON"} == STREAM_EVENTS


@pytest.mark.parametrize(
    ("name", "arguments", "parsed"),
    [
        ("guest-event-subscribe", {}, GuestEventSubscribe(events=["*"])),
        (
            "guest-event-subscribe",
            {"events": [], "since": {"epoch": "e", "seq": 1}},
            GuestEventSubscribe(events=[], since=Position(epoch="e", seq=1)),
        ),
        ("qmp_capabilities", {}, QmpCapabilities(enable=[])),
        ("qmp_capabilities", {"enable": ["oob", "oob"]}, QmpCapabilities(enable=["oob", "oob"])),
    ],
)
def test_arguments(name: str, arguments: dict[str, Any], parsed: Any) -> None:
    assert NATIVE[name].parse(arguments) == parsed


@pytest.mark.parametrize(
    ("name", "arguments", "desc"),
    [
        ("guest-event-subscribe", {"since": {"epoch": "e"}}, "Parameter 'since.seq' is missing"),
        (
            "guest-event-subscribe",
            {"since": {"epoch": "e", "seq": 1, "x": 1}},
            "Parameter 'since.x' is unexpected",
        ),
        ("guest-event-subscribe", {"since": None}, "Invalid parameter type for 'since', expected: object"),
        (
            "guest-event-subscribe",
            {"events": ["*", 5]},
            r"Invalid parameter type for 'events\[1\]', expected: string",
        ),
    ],
)
def test_wrong_arguments(name: str, arguments: dict[str, Any], desc: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{desc}$"):
        NATIVE[name].parse(arguments)


def test_routing_is_taken_out() -> None:
    arguments = {"session": "c2", "text": "x", "timeout": 1.5, "wait": 0}
    assert take_routing(arguments) == ({"session": "c2", "wait": 0, "timeout": 1.5}, {"text": "x"})
    assert take_routing({}) == ({}, {})


def test_guest_info_is_written_and_read_as_qemu_gas() -> None:
    info = GuestAgentInfo(version="1", supported_commands=[SupportedCommand(name="guest-ping")])
    wire: Any = {
        "version": "1",
        "supported_commands": [{"name": "guest-ping", "enabled": True, "success-response": True}],
    }
    assert msgspec.to_builtins(info) == wire
    wire["new"] = wire["supported_commands"][0]["new"] = 1
    assert msgspec.convert(wire, GuestAgentInfo) == info


def test_a_session_shows_all_its_members() -> None:
    session = Session(session="c2", user="alice", uid=1000, agents=[AgentInfo(name="a", version="1")])
    wire = msgspec.to_builtins(session)
    assert (wire["class"], wire["remote-host"], wire["agents"]) == (
        "user",
        "",
        [{"name": "a", "version": "1"}],
    )
    # What agents claim is there where they do.
    assert "claimed" not in wire
    assert len(wire) == len(Session.__struct_fields__) - 1
    told = msgspec.structs.replace(session, claimed=["locked"])
    assert msgspec.to_builtins(told)["claimed"] == ["locked"]


def test_an_event_leaves_out_what_is_not_known() -> None:
    login = SessionLogin(session="c2", user="alice", uid=1000, type="tty", session_class="user")
    assert msgspec.to_builtins(login) == {
        "session": "c2",
        "user": "alice",
        "uid": 1000,
        "type": "tty",
        "class": "user",
    }
    assert issubclass(SessionLogin, SessionRef)


def test_lost_events_are_named_by_their_ends() -> None:
    lost = EventsLost(first=3, last=9, reason="slow-reader")
    assert msgspec.to_builtins(lost) == {"from": 3, "to": 9, "reason": "slow-reader"}
