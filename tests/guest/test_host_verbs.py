"""Commands, files and shutdown from the host, on a really booted guest: as a user in a session, and as root."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from guestmux import blocking
from guestmux.guest import ADDRESS_VARIABLE
from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]

PATIENCE = 20.0
"""Seconds for the guest to answer, and for an agent to register."""

LogIn = Callable[[str], TerminalLogin]


@pytest.fixture
def host(guest: Guest) -> Iterator[blocking.Guest]:
    with blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE) as host:
        yield host


def command_line(guest: Guest, *arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run `guestmux` on the host."""
    environment = {**os.environ, ADDRESS_VARIABLE: f"unix:{guest.port('qmp')}"}
    command = [sys.executable, "-m", "guestmux", *arguments]
    return subprocess.run(command, input=given, env=environment, capture_output=True, check=False)


def test_a_command_runs_as_the_user_in_the_session(host: blocking.Guest, log_in: LogIn) -> None:
    alice = log_in("alice")
    host.wait_agent(alice.session, timeout=PATIENCE)
    script = "id -un; pwd; echo $XDG_RUNTIME_DIR; cat /proc/self/cgroup; exit 3"
    done = host.run(["sh", "-c", script], session="user:alice")
    name, directory, runtime, *cgroups = done.stdout.decode().splitlines()
    assert (name, directory, runtime, done.exit.code) == ("alice", "/home/alice", "/run/user/1000", 3)
    assert any("/user-1000.slice/" in cgroup for cgroup in cgroups), cgroups


def test_a_file_is_the_users(guest: Guest, log_in: LogIn) -> None:
    log_in("alice")
    as_alice = ("-s", "user:alice", "--wait-agent", "20")
    copied = command_line(guest, "cp", "-q", *as_alice, "-", ":/home/alice/note", given=b"hello\n")
    assert (copied.returncode, copied.stderr) == (0, b"")
    assert guest.run("stat -c '%U %a' /home/alice/note").stdout.startswith("alice ")
    assert command_line(guest, "cat", *as_alice, "/home/alice/note").stdout == b"hello\n"
    refused = command_line(guest, "cat", *as_alice, "/etc/shadow")
    assert refused.returncode == 1
    assert b"Permission denied" in refused.stderr


def test_a_shell_on_a_terminal(guest: Guest, log_in: LogIn) -> None:
    log_in("alice")
    as_alice = ("-s", "user:alice", "--wait-agent", "20")
    done = command_line(guest, "exec", "-n", "-t", *as_alice, "--", "sh", "-c", "tty; stty size")
    assert done.returncode == 0
    terminal, size = done.stdout.decode().split("\r\n")[:2]
    assert terminal.startswith("/dev/pts/")
    assert size == "24 80"


def test_shutdown_waits_until_the_guest_is_gone(own_guest: Guest) -> None:
    with blocking.connect(f"unix:{own_guest.port('qmp')}", timeout=PATIENCE, reconnect=False) as host:
        own_guest.wait_for("the system agent", lambda: _serves(host, "guest-shutdown"))
    assert command_line(own_guest, "os").stdout.startswith(b"host ")
    done = command_line(own_guest, "shutdown", "--timeout", "60")
    assert (done.returncode, done.stderr) == (0, b"")
    assert command_line(own_guest, "--connect-timeout", "1", "ping").returncode != 0


def _serves(host: blocking.Guest, command: str) -> bool:
    return command in {known.name for known in host.info().supported_commands if known.enabled}
