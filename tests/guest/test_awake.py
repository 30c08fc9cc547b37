"""A session that is kept awake for a host, by a real logind that asks a real polkit whether the user may."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from guestmux import blocking
from guestmux.guest import ADDRESS_VARIABLE
from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

PATIENCE = 20.0
"""Seconds for the guest to answer, and for an agent to register."""

REASON = "A film is on"


def is_held(guest: Guest) -> bool:
    return REASON in guest.run("systemd-inhibit --list --no-legend --no-pager").stdout


def test_a_session_is_kept_awake_as_long_as_its_host_is_there(
    guest: Guest, log_in: Callable[[str], TerminalLogin]
) -> None:
    alice = log_in("alice")
    address = f"unix:{guest.port('qmp')}"
    with blocking.connect(address, timeout=PATIENCE) as host:
        host.wait_agent(alice.session, timeout=PATIENCE)
        held = host.inhibit_idle(REASON, "user:alice", seconds=600)
        assert held.by == ["logind"]
        assert is_held(guest)
        host.uninhibit_idle(held.id, "user:alice")
        guest.wait_for("logind to be let go", lambda: not is_held(guest))
    command = [sys.executable, "-m", "guestmux", "inhibit-idle", "-s", "user:alice", "--reason", REASON]
    with subprocess.Popen(command, env={**os.environ, ADDRESS_VARIABLE: address}) as process:
        guest.wait_for("the session to be held", lambda: is_held(guest))
        process.kill()
    guest.wait_for("the guest to let go of a host that was killed", lambda: not is_held(guest))
