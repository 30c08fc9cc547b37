"""Each user of a real guest sees what left about them, by who the kernel and the bus say that they are."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest
from tests.support.wire_host import WireHost

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]


def shown(login: TerminalLogin | Guest, *options: str) -> list[dict[str, Any]]:
    lines = login.run(["guestmux-session", "log", "--json", *options]).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_each_user_sees_what_left_about_them_and_root_all(
    guest: Guest, log_in: Callable[[str], TerminalLogin]
) -> None:
    with WireHost(guest.port("qmp")).greeted("oob") as host:
        host.ask("guest-event-subscribe", events=["SESSION_LOGIN"])
        alice, bob = log_in("alice"), log_in("bob")
        called = {"session": alice.session}
        guest.wait_for("alice's agent", lambda: "return" in host.ask("session-get-info", **called))
        for login in (alice, bob):
            (event,) = [row for row in shown(login, "--mine") if "event" in row]
            assert event["event"] == "SESSION_LOGIN"
            assert (event["data"]["session"], event["data"]["user"]) == (login.session, login.user)
            assert [sent["dialect"] for sent in event["sent"]] == ["qmp"]
        commands = [row["command"] for row in shown(alice) if "command" in row]
        assert commands == ["session-get-info"]
        assert [row for row in shown(bob) if "command" in row] == []
        assert {row["data"]["user"] for row in shown(guest) if "event" in row} >= {"alice", "bob"}
