"""Agents that the host pushes: into a user's session and for the system, with real systemd, ssh-keygen and eventd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from guestmux import CommandFailed, blocking
from guestmux.guest import ADDRESS_VARIABLE
from tests.guest.logins import TerminalLogin
from tests.guest.rig import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(180)]

PATIENCE = 20.0
"""Seconds for the guest to answer, and for an agent to register."""

EXAMPLE = Path(__file__).parents[2] / "examples" / "clock_agent.py"
NAME = "org.example.clock"
UNIT = f"guestmux-pushed-agent@{NAME}.service"
ALICE = ("-s", "user:alice", "--wait-agent", "20")
STORE = "/home/alice/.local/share/guestmux/agents"
SIGNERS = "/etc/guestmux/agent-signers"

LogIn = Callable[[str], TerminalLogin]


class Here:
    """The host's side: a directory with the agent, keys, and the command line."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest = guest
        self.directory = folder / "clock"
        self.key = folder / "key"
        self.directory.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.write("1.0")

    def write(
        self, version: str, *, breaks: str = "", registers_as: str | None = None, seconds: int = 20
    ) -> None:
        """Write the agent, as the example is but for its version."""
        (self.directory / "agent.toml").write_text(
            f'name = "{NAME}"\nversion = "{version}"\nexec = ["run.py"]\nregister-seconds = {seconds}\n'
        )
        text = EXAMPLE.read_text().replace('version = "1.0"', f'version = "{registers_as or version}"')
        program = self.directory / "run.py"
        program.write_text(f"#!/usr/bin/python3\n{breaks}\n{text}")
        program.chmod(0o755)

    def trust(self, principals: str = "*@*") -> None:
        """Have the guest trust the key."""
        line = f"{principals} {self.key.with_suffix('.pub').read_text()}"
        self.guest.container.path(SIGNERS).write_text(line)

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
        """`guestmux agent`, killed with the block."""
        environment = {**os.environ, ADDRESS_VARIABLE: f"unix:{self.guest.port('qmp')}"}
        command = [sys.executable, "-m", "guestmux", "agent", *map(str, arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run `guestmux agent`; gives exit status, stdout, stderr."""
        with self.running(*arguments) as process:
            told, warned = process.communicate()
        assert "Traceback" not in warned.partition("last words")[0], warned
        return process.returncode, told, warned

    def sign(self) -> None:
        """Sign what was written."""
        assert self.run("sign", self.directory, "--key", self.key)[0] == 0

    def push(self, *arguments: str, verb: str = "push") -> str:
        """Sign it, push it, and give what is said; it must be taken."""
        self.sign()
        status, told, warned = self.run(verb, self.directory, *arguments)
        assert status == 0, warned
        return told

    def refused(self, *arguments: str, verb: str = "push") -> str:
        """Sign it, and give why it is refused."""
        self.sign()
        status, told, warned = self.run(verb, self.directory, *arguments)
        assert (status, told) == (1, ""), (told, warned)
        return warned


@pytest.fixture
def here(guest: Guest, tmp_path: Path) -> Iterator[Here]:
    here = Here(guest, tmp_path)
    here.trust()
    yield here
    guest.container.path(SIGNERS).write_text("")
    here.run("remove", NAME, "--system")


@pytest.fixture
def alice(log_in: LogIn, here: Here) -> Iterator[TerminalLogin]:
    yield log_in("alice")
    here.run("remove", NAME, *ALICE)


def time_in(guest: Guest, session: str | None) -> str:
    """What the pushed agent answers."""
    with blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE) as host:
        if session:
            host.wait_agent(session, NAME, timeout=PATIENCE)
        guest.wait_for("the agent", lambda: serves(host, "__org.example_time"))
        return str(host.call("__org.example_time", session=session))


def test_for_a_user(guest: Guest, here: Here, alice: TerminalLogin) -> None:
    assert here.push(*ALICE) == f"{NAME} 1.0 (new) is registered in {alice.session}\n"
    assert "+00:00" in time_in(guest, "user:alice")
    assert guest.user_systemctl("alice", "is-enabled", UNIT) == "enabled"
    table = here.run("list", *ALICE)[1].splitlines()
    assert table[1].split()[:5] == [NAME, "1.0", "user:alice", "active", alice.session]
    assert "ED25519 SHA256:" in table[1]
    assert f"agent '{NAME}' 1.0, signed by ED25519" in guest.journal(
        "_SYSTEMD_USER_UNIT=guestmux-session.service"
    )
    checked = alice.run(["guestmux-session", "check-agent", NAME])
    assert f"registered in session {alice.session}" in checked.stdout
    assert "PASS  end" in checked.stdout
    audit = guest.journal("--unit=guestmux-eventd", "LOGGER=guestmux.audit")
    assert "agent-install" in audit


def test_an_upgrade_and_what_is_none(guest: Guest, here: Here, alice: TerminalLogin) -> None:
    assert "no agent" in here.refused(*ALICE, verb="upgrade")
    here.push(*ALICE)
    here.write("1.1")
    assert here.push(*ALICE, verb="upgrade") == f"{NAME} 1.1 (was 1.0) is registered in {alice.session}\n"
    assert here.push(*ALICE) == f"{NAME} 1.1 (as before) is registered in {alice.session}\n"
    here.write("1.1", breaks="# changed")
    assert "what has changed needs a new version" in here.refused(*ALICE)
    here.write("1.0")
    assert f"'{NAME}' 1.1 is installed, which is no older than 1.0" in here.refused(*ALICE)
    here.push(*ALICE, "--force")
    assert guest.run(f"ls -A {STORE}/{NAME}").stdout.split() == ["1.0", "current"]
    assert here.run("logs", NAME, *ALICE)[1].count("registered") >= 3


@pytest.mark.parametrize(
    ("breaks", "registers_as", "seconds", "reason"),
    [
        ("raise SystemExit('no good at all')", "1.1", 20, "it has ended (failed)"),
        ("raise SystemExit(0)", "1.1", 20, "it has ended (inactive)"),
        ("import time; time.sleep(1000)", "1.1", 3, "it did not register within 3 s"),
        ("", "7", 20, "it registered as version 7"),
    ],
    ids=["fails", "ends", "hangs", "other-version"],
)
def test_one_that_does_not_register_changes_nothing(
    guest: Guest,
    here: Here,
    alice: TerminalLogin,
    breaks: str,
    registers_as: str,
    seconds: int,
    reason: str,
) -> None:
    here.write("1.1", breaks=breaks, registers_as=registers_as, seconds=seconds)
    told = here.refused(*ALICE)
    assert f"{reason}; it was removed again" in told
    assert ("no good at all" in told) == ("no good" in breaks)
    assert here.run("list", *ALICE, "--json")[1] == "[]\n"
    assert guest.run(f"ls -A {STORE}").stdout.split() == [".locks"]
    here.write("1.0")
    here.push(*ALICE)
    here.write("1.1", breaks=breaks, registers_as=registers_as, seconds=seconds)
    told = here.refused(*ALICE)
    assert f"{reason}; 1.0 runs again" in told
    # The agent's own words, and not systemd's about it.
    assert ("Started" not in told) == ("no good" in breaks or registers_as == "7")
    assert "+00:00" in time_in(guest, "user:alice")
    assert '"version": "1.0"' in here.run("list", *ALICE, "--json")[1]


def test_for_the_system(guest: Guest, here: Here) -> None:
    with blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE) as host:
        guest.wait_for("the system agent", lambda: serves(host, "agent-list"))
    assert here.push("--system") == f"{NAME} 1.0 (new) is registered in system\n"
    assert "+00:00" in time_in(guest, None)
    assert guest.systemctl("is-enabled", UNIT) == "enabled"
    assert guest.run("stat -c '%U %a' /var/lib/guestmux-agents").stdout == "root 700\n"
    here.write("1.1", breaks="raise SystemExit('no good')")
    assert "no good" in here.refused("--system")
    assert "+00:00" in time_in(guest, None)
    assert "by unix-listen:" in guest.journal("--unit=guestmux-system-agent")
    assert here.run("remove", NAME, "--system")[:2] == (0, f"{NAME} 1.0 was removed\n")
    assert guest.run(["systemctl", "is-active", UNIT], check=False).stdout == "inactive\n"


def test_who_may_sign(guest: Guest, here: Here, alice: TerminalLogin) -> None:
    here.trust("*@root,org.example.other@alice")
    assert "not for this agent and user" in here.refused(*ALICE)
    here.trust('*@* valid-before="20200101"')
    assert "key has expired" in here.refused(*ALICE)
    guest.container.path(SIGNERS).write_text("")
    assert f"{SIGNERS} trusts no such signature for {NAME}@alice" in here.refused(*ALICE)
    here.trust()
    guest.run(f"chmod o+w {SIGNERS}")
    assert "can be written by others" in here.refused(*ALICE)
    guest.run(f"chmod o-w {SIGNERS}")
    (here.directory / "MANIFEST.sig").unlink()
    status, _, warned = here.run("push", here.directory, *ALICE)
    assert status == 1
    assert "takes signed agents only" in warned
    here.push(*ALICE)
    here.trust("*@bob")
    guest.user_systemctl("alice", "restart", UNIT)
    guest.wait_for(
        "its end", lambda: guest.user_systemctl("alice", "is-active", UNIT, check=False) == "failed"
    )
    assert "trusts no such signature" in here.run("logs", NAME, *ALICE)[1]


def test_a_guest_that_takes_any_for_users_and_none(guest: Guest, here: Here, alice: TerminalLogin) -> None:
    configuration = guest.container.path("/etc/guestmux/session-agent.toml")
    before = configuration.read_text()
    configuration.write_text('pushed-agents = "any"\n')
    guest.user_systemctl("alice", "restart", "guestmux-session.service")
    assert here.run("push", here.directory, *ALICE)[0] == 0
    configuration.write_text('pushed-agents = "never"\n')
    guest.user_systemctl("alice", "restart", "guestmux-session.service")
    here.write("1.1")
    assert "takes no agents" in here.refused(*ALICE)
    configuration.write_text(before)
    guest.user_systemctl("alice", "restart", "guestmux-session.service")
    (here.directory / "MANIFEST.sig").unlink()
    assert here.run("push", here.directory, "--system")[0] == 1


def test_a_user_who_wants_none_of_it(guest: Guest, here: Here, alice: TerminalLogin) -> None:
    here.push(*ALICE)
    guest.user_systemctl("alice", "mask", "--now", UNIT)
    here.write("1.1")
    assert "masked" in here.refused(*ALICE)
    assert '"unit": "inactive"' in here.run("list", *ALICE, "--json")[1]
    assert here.run("remove", NAME, *ALICE)[:2] == (0, f"{NAME} 1.0 was removed\n")
    assert "masked" in here.refused(*ALICE)
    guest.user_systemctl("alice", "unmask", UNIT)
    here.push(*ALICE)


def test_it_starts_with_the_next_login(guest: Guest, here: Here, log_in: LogIn) -> None:
    first = log_in("alice")
    here.push(*ALICE)
    first.logout()
    guest.wait_for("the end of alice's manager", lambda: "user@1000" not in guest.systemctl("list-units"), 30)
    log_in("alice")
    assert "+00:00" in time_in(guest, "user:alice")
    assert here.run("remove", NAME, *ALICE)[0] == 0
    assert guest.run(f"ls -A {STORE}").stdout.split() == [".locks"]


def test_an_agent_that_is_killed_half_way_leaves_the_old_version(
    guest: Guest, here: Here, alice: TerminalLogin
) -> None:
    here.push(*ALICE)
    here.write("1.1", breaks="import time; time.sleep(1000)", seconds=60)
    here.sign()
    with (
        blocking.connect(f"unix:{guest.port('qmp')}", timeout=PATIENCE) as host,
        ThreadPoolExecutor() as threads,
    ):
        pushing = threads.submit(host.push_agent, here.directory, session="user:alice")
        guest.wait_for("the trial", guest.container.path(f"{STORE}/{NAME}/.trial").exists)
        with pytest.raises(CommandFailed, match="is being installed or removed by somebody else"):
            host.push_agent(here.directory, session="user:alice")
        guest.user_systemctl("alice", "kill", "--signal=KILL", "guestmux-session.service")
        with pytest.raises(CommandFailed, match="the agent disconnected"):
            pushing.result(PATIENCE)
    guest.wait_for("the old version", lambda: '"version": "1.0"' in here.run("list", *ALICE, "--json")[1])
    assert "+00:00" in time_in(guest, "user:alice")


def test_a_host_that_leaves_half_way_leaves_the_old_version(
    guest: Guest, here: Here, alice: TerminalLogin
) -> None:
    here.push(*ALICE)
    here.write("1.1", breaks="import time; time.sleep(1000)", seconds=60)
    here.sign()
    with here.running("push", here.directory, *ALICE):
        guest.wait_for("the trial", guest.container.path(f"{STORE}/{NAME}/.trial").exists)
    guest.wait_for("its end", lambda: not guest.container.path(f"{STORE}/{NAME}/.trial").exists())

    def old_answers() -> bool:
        try:
            return "+00:00" in time_in(guest, "user:alice")
        except CommandFailed:
            return False  # asked while systemd was still putting it back

    guest.wait_for("the old version", old_answers)
    assert guest.run(f"ls -A {STORE}/{NAME}").stdout.split() == ["1.0", "current"]


def serves(host: blocking.Guest, command: str) -> bool:
    return command in {known.name for known in host.info().supported_commands if known.enabled}
