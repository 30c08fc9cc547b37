"""What an agent says of itself when it registers: nothing of it is believed unchecked."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_eventd.refusal import Refusal
from guestmux_eventd.registration import MAX_COMMANDS, read_declaration
from guestmux_protocol.events import OF_AGENTS
from guestmux_protocol.session_commands import SESSION
from guestmux_transport.values import Variant


def test_a_full_declaration() -> None:
    declaration = read_declaration(
        "org.example.clock",
        {
            "version": Variant("s", "1.2"),
            "session": Variant("s", "c2"),
            "commands": Variant(
                "a{ss}", {"__org.example_time": '{"data": {"*zone": "str"}, "returns": "str"}'}
            ),
            "events": Variant("as", ["__org.example_TICK"]),
        },
    )
    assert (declaration.name, declaration.version, declaration.claim) == ("org.example.clock", "1.2", "c2")
    assert declaration.commands["__org.example_time"].arguments.members[0].name == "zone"
    assert declaration.events["__org.example_TICK"].data.open


def test_everything_but_the_name_is_optional() -> None:
    declaration = read_declaration("x", {})
    assert (declaration.version, declaration.claim, declaration.commands, declaration.events) == (
        "",
        "",
        {},
        {},
    )


def test_commands_of_the_project_keep_their_own_schema() -> None:
    lie = Variant("a{ss}", {"session-lock": '{"data": {"everything": "any"}}'})
    assert read_declaration("x", {"commands": lie}).commands["session-lock"] is SESSION["session-lock"]


def test_events_about_a_session_have_their_schema_whoever_emits_them() -> None:
    declared = {"APP_STARTED": '{"data": {"anything": "any"}}'}
    declaration = read_declaration("x", {"events": Variant("a{ss}", declared)})
    assert declaration.events["APP_STARTED"] is OF_AGENTS["APP_STARTED"]


@pytest.mark.parametrize(
    ("name", "properties", "error"),
    [
        ("", {}, "InvalidArgument"),
        ("a b", {}, "InvalidArgument"),
        ("x" * 129, {}, "InvalidArgument"),
        ("x", {"nonsense": Variant("s", "")}, "InvalidArgument"),
        ("x", {"version": Variant("u", 1)}, "InvalidArgument"),
        ("x", {"version": Variant("s", "v" * 129)}, "InvalidArgument"),
        ("x", {"session": Variant("as", [])}, "InvalidArgument"),
        ("x", {"commands": Variant("s", "session-lock")}, "InvalidArgument"),
        ("x", {"commands": Variant("ai", [1])}, "InvalidArgument"),
        ("x", {"commands": Variant("a{su}", {"__a.b_c": 1})}, "InvalidArgument"),
        ("x", {"commands": Variant("as", ["spaces are bad"])}, "InvalidArgument"),
        ("x", {"commands": Variant("a{ss}", {"__a.b_c": "{"})}, "InvalidArgument"),
        ("x", {"commands": Variant("a{ss}", {"__a.b_c": '{"data": {"x": "y"}}'})}, "InvalidArgument"),
        ("x", {"commands": Variant("a{ss}", {"__a.b_c": " " * 20_000})}, "InvalidArgument"),
        ("x", {"commands": Variant("ad", [float("nan")])}, "InvalidArgument"),
        ("x", {"events": Variant("as", [f"__a.b_{n}" for n in range(MAX_COMMANDS + 1)])}, "LimitExceeded"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name: str, properties: dict[str, Any], error: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_declaration(name, properties)
    assert caught.value.error == error
    assert len(caught.value.desc) < 500


@pytest.mark.parametrize("kind", ["commands", "events"])
def test_schemas_are_bounded_in_all(kind: str) -> None:
    # Read, they take ten times their size, for as long as the agent is registered.
    text = '{"doc": "%s"}' % ("x" * 15_000)
    few = {f"__org.example_{number}": text for number in range(8)}
    read_declaration("x", {kind: Variant("a{ss}", few)})
    with pytest.raises(Refusal, match="characters of schemas"):
        read_declaration("x", {kind: Variant("a{ss}", {**few, "__org.example_more": text})})
