"""What a test does with a booted guest: run things in it, log people in, listen to its bus, wait for its state."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.guest.container import COMMAND_SECONDS, Container, booted
from tests.guest.image import USERS
from tests.guest.install import PORTS, installed_layers
from tests.guest.monitor import BusMonitor

T = TypeVar("T")

WAIT_SECONDS = 10.0
"""Time that a state has to come about: all of them take well under a second on an idle machine."""

POLL_SECONDS = 0.02

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


class GuestError(Exception):
    """A command failed in the guest, or a state did not come about. The text has what is known."""


@dataclass(frozen=True)
class SessionInfo:
    """One line of logind's ListSessions."""

    id: str
    uid: int
    user: str
    seat: str


class Guest:
    """A booted guest.

    Everything here blocks; from an async test go through `anyio.to_thread.run_sync`. Processes begun by `start` and
    `monitor` are killed when the thread that began them ends, so begin those in the test's own.

    Attributes:
        container: the machine below.
    """

    def __init__(self, container: Container) -> None:
        self.container = container

    def __repr__(self) -> str:
        """The container's."""
        return f"<Guest {self.container.name}>"

    def port(self, dialect: str) -> Path:
        """The socket of eventd's port, "qmp" or "qga", as this machine reaches it."""
        return self.container.path(PORTS[dialect])

    # -- processes ----------------------------------------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str | None = None,
        check: bool = True,
        timeout: float = COMMAND_SECONDS,
        cgroup: str = "init.scope",
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end.

        Args:
            command: words, or a line for sh.
            user: who runs it, as a cron job would: in no session, with no PAM; root when None.
            check: a status other than 0 is an error.
            timeout: seconds until it is killed.
            cgroup: where it is put; `Login.run` uses it.
            environment: all that it has beside PATH and LANG.

        Raises:
            GuestError: it failed, or did not end in time.
        """
        inside = self._command(command, user, cgroup, environment)
        try:
            result = subprocess.run(
                inside, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"{command}: no end within {timeout} s{self.journal()}") from error
        if check and result.returncode:
            raise GuestError(
                f"{command}: status {result.returncode}\n{result.stdout}{result.stderr}{self.journal()}"
            )
        return result

    def start(
        self,
        command: str | Sequence[str],
        *,
        user: str | None = None,
        cgroup: str = "init.scope",
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[str]":
        """Begin a command; its input and output are pipes. Arguments as in `run`; whoever starts it ends it."""
        inside = self._command(command, user, cgroup, environment)
        return subprocess.Popen(
            inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _command(
        self,
        command: str | Sequence[str],
        user: str | None,
        cgroup: str,
        environment: Mapping[str, str] | None,
    ) -> list[str]:
        words = ["sh", "-c", command] if isinstance(command, str) else command
        return self.container.command(words, user=user, cgroup=cgroup, environment=environment)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run the system's systemctl; gives what it printed."""
        return self.run(["systemctl", *words], check=check).stdout.strip()

    def user_systemctl(self, user: str, *words: str, check: bool = True) -> str:
        """Run a user's own systemctl; gives what it printed."""
        command = ["systemctl", "--user", *words]
        return self.run(command, user=user, check=check, environment=user_environment(user)).stdout.strip()

    def journal(self, *options: str) -> str:
        """The end of the journal, to be put into an error; options are journalctl's."""
        command = self.container.command(["journalctl", "--boot", "--no-pager", "--lines=20", *options])
        result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        return f"\n--- journal:\n{result.stdout}"

    # -- state --------------------------------------------------------------------------------------------------

    def sessions(self) -> list[SessionInfo]:
        """All sessions that logind knows, oldest first; those on their way out among them."""
        [listed] = self.busctl("call", *LOGIND, "ListSessions")["data"]
        return [SessionInfo(identifier, uid, user, seat) for identifier, uid, user, seat, _ in listed]

    def session_properties(self, session: str) -> dict[str, str]:
        """What `loginctl show-session` says of a session; {} when there is none of that name."""
        shown = self.run(["loginctl", "show-session", session], check=False).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def busctl(
        self, *words: str, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> Any:
        """Run busctl and give the JSON that it printed; None for nothing.

        Raises:
            GuestError: the call was answered with an error.
        """
        printed = self.run(["busctl", "--json=short", *words], user=user, environment=environment).stdout
        return json.loads(printed) if printed.strip() else None

    def wait_for(self, what: str, look: Callable[[], T | None], seconds: float = WAIT_SECONDS) -> T:
        """Look until there is something true to see, and give it.

        Args:
            what: is waited for, in words for the error.
            look: is called again and again.
            seconds: until it is given up.

        Raises:
            GuestError: it did not come about.
        """
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > deadline:
                raise GuestError(f"{what}: not within {seconds} s{self.journal()}")
            time.sleep(POLL_SECONDS)
        return seen

    @contextmanager
    def monitor(self, *matches: str) -> Iterator[BusMonitor]:
        """Listen to the system bus, from before the block begins to its end.

        Args:
            matches: D-Bus match rules, as "interface=org.freedesktop.login1.Session"; all messages when none.
        """
        words = ["busctl", "monitor", "--json=short", *(f"--match={match}" for match in matches)]
        with BusMonitor(self.start(words), shlex.join(words)) as monitor:
            yield monitor


def user_environment(user: str) -> dict[str, str]:
    """The least that a process needs to reach its user's systemd and session bus."""
    runtime = f"/run/user/{USERS[user]}"
    return {
        "HOME": f"/home/{user}",
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }


@contextmanager
def booted_guest() -> Iterator[Guest]:
    """Boot a guest that has this tree's guestmux installed; it is gone after the block.

    Raises:
        ContainerError, ImageError, InstallError: it could not be made.
    """
    with booted(installed_layers()) as container:
        yield Guest(container)
