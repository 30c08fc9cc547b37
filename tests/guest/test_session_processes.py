"""What a host starts in a session: the user's, in the user's own systemd, and there when the agent is not."""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest
from tests.support.wire_host import WireHost

pytestmark = pytest.mark.guest

SCRIPT = 'id -un; pwd; grep -o "app-guestmux.*" /proc/self/cgroup; echo $XDG_RUNTIME_DIR; echo $FROM_DESKTOP'


@pytest.fixture
def session(guest: Guest, log_in: Callable[[str], TerminalLogin]) -> Iterator[tuple[WireHost, str]]:
    """A host, and alice's session, whose desktop gave systemd a variable."""
    with ExitStack() as stack:
        session = log_in("alice").session
        guest.user_systemctl("alice", "set-environment", "FROM_DESKTOP=yes")
        host = stack.enter_context(WireHost(guest.port("qmp")).greeted("oob"))
        guest.wait_for("alice's agent", lambda: "return" in host.ask("session-get-info", session=session))
        yield host, session
        guest.run(["pkill", "-u", "alice", "-x", "sleep"], check=False)


def run(guest: Guest, host: WireHost, session: str, script: str) -> list[str]:
    """The lines that a script writes."""
    asked: dict[str, Any] = {"path": "sh", "arg": ["-c", script], "capture-output": True, "session": session}
    pid = host.ask("guest-exec", **asked)["return"]["pid"]
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(host.ask("guest-exec-status", pid=pid)["return"])
        return bool(ended["exited"])

    guest.wait_for("the script's end", has_ended)
    return base64.b64decode(ended["out-data"]).decode().splitlines()


def test_a_process_is_the_users_in_a_scope_of_its_own(guest: Guest, session: tuple[WireHost, str]) -> None:
    user, directory, scope, runtime, variable = run(guest, *session, SCRIPT)
    assert (user, directory, runtime, variable) == ("alice", "/home/alice", "/run/user/1000", "yes")
    assert scope.startswith("app-guestmux-exec-")


def test_it_outlives_the_agent_with_what_it_left_in_the_background(
    guest: Guest, session: tuple[WireHost, str]
) -> None:
    assert run(guest, *session, "sleep 1000 >&- 2>&- & sleep 1001 >&- 2>&- & echo done") == ["done"]
    guest.user_systemctl("alice", "restart", "guestmux-session.service")
    assert guest.run(["pgrep", "-u", "alice", "-c", "-x", "sleep"]).stdout == "2\n"


def test_a_file_is_the_users(guest: Guest, session: tuple[WireHost, str]) -> None:
    host, name = session
    handle = host.ask("guest-file-open", path="/home/alice/new", mode="w", session=name)["return"]
    host.ask("guest-file-close", handle=handle)
    assert guest.run(["stat", "-c", "%U", "/home/alice/new"]).stdout == "alice\n"
    refused = host.ask("guest-file-open", path="/etc/shadow", session=name)["error"]["desc"]
    assert refused == "failed to open file '/etc/shadow' (mode: 'r'): Permission denied"
