"""eventd's own commands: what guest-info says of every command, and what policy refuses of them."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_eventd.event_log import EventLog
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.policy import Policy, PolicyRule
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.guest.order import PEER_ORDER
from guestmux_protocol.messages import COMMAND_NOT_FOUND, Request
from tests.support.fake_agents import FakeAgents
from tests.support.feeds import Feeds


class Host:
    port = "the-port"

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.events = Feeds(EventLog("e", lambda: 0.0))()

    def upgrade(self) -> None: ...


def natives(guest: FakeAgents, *rules: PolicyRule) -> NativeCommands:
    log = EventLog("e", lambda: 0.0)
    return NativeCommands(guest.sessions, guest.agents, log, policy=Policy(rules), gate=guest.gate)


def info(commands: NativeCommands, dialect: str = "qga") -> dict[str, dict[str, Any]]:
    listed = commands.run(Request("guest-info"), Host(dialect))["supported_commands"]
    assert all(entry.keys() == {"name", "enabled", "success-response"} for entry in listed)
    return {entry["name"]: entry for entry in listed}


def test_guest_info_lists_in_qemu_ga_s_order_and_says_what_answers_nothing() -> None:
    guest = FakeAgents()
    guest.add("system", "guest-shutdown", "guest-exec", "guest-file-open", "guest-get-users")
    listed = info(natives(guest))
    assert listed["guest-shutdown"] == {"name": "guest-shutdown", "enabled": True, "success-response": False}
    assert listed["guest-exec"]["success-response"]
    peers = [name for name in listed if name in PEER_ORDER]
    assert peers == [name for name in PEER_ORDER if name in listed]
    assert list(listed)[-1] == "guest-sync-delimited"
    assert "qmp_capabilities" not in listed
    assert "qmp_capabilities" in info(natives(guest), "qmp")


def test_what_only_sessions_serve_is_not_for_hosts_that_name_none() -> None:
    guest = FakeAgents()
    guest.add("c1", "guest-exec", "session-lock")
    assert not info(natives(guest))["guest-exec"]["enabled"]
    assert info(natives(guest))["session-lock"]["enabled"]
    assert info(natives(guest), "qmp")["guest-exec"]["enabled"]
    guest.add("system", "guest-exec")
    assert info(natives(guest))["guest-exec"]["enabled"]


def test_what_policy_refuses_is_listed_as_not_enabled() -> None:
    guest = FakeAgents()
    guest.add("system", "guest-exec", "guest-file-open")
    guest.add("c1", "guest-file-open")
    own = natives(
        guest,
        PolicyRule(port="the-*", deny=["guest-exec", "guest-get-sessions"]),
        PolicyRule(session_class=["system"], deny=["guest-file-*"]),
    )
    listed = info(own, "qmp")
    enabled = {
        name: listed[name]["enabled"] for name in ("guest-exec", "guest-get-sessions", "guest-file-open")
    }
    assert enabled == {"guest-exec": False, "guest-get-sessions": False, "guest-file-open": True}
    assert listed["guest-ping"]["enabled"]
    text = "guest-get-sessions has been disabled: the command is not allowed"
    with pytest.raises(CommandFailure, match=text) as caught:
        own.run(Request("guest-get-sessions"), Host("qmp"))
    assert caught.value.error_class == COMMAND_NOT_FOUND


def test_while_frozen_agents_commands_are_not_enabled_and_eventd_s_own_answer() -> None:
    guest = FakeAgents()
    guest.add("system", "guest-exec", "guest-fsfreeze-thaw", "guest-fsfreeze-status")
    guest.gate.status("frozen")
    own = natives(guest)
    enabled = {name for name, entry in info(own).items() if entry["enabled"]}
    assert "guest-exec" not in enabled
    assert {"guest-fsfreeze-thaw", "guest-fsfreeze-status", "guest-ping", "guest-event-subscribe"} <= enabled
    assert own.run(Request("guest-get-sessions"), Host("qmp"))[0]["session"] == "c1"
