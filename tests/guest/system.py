"""What a test does with a booted guest, container or virtual machine: run things, see logind's state, wait for it."""

import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.guest.container import COMMAND_SECONDS
from tests.guest.image import USERS
from tests.guest.terminal import Terminal

T = TypeVar("T")

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


class GuestSystem(ABC):
    """A booted guest. Everything here blocks.

    Attributes:
        wait_seconds: time that a state has to come about.
    """

    wait_seconds: float

    @abstractmethod
    def execute(
        self,
        command: Sequence[str],
        *,
        user: str | None,
        cgroup: str,
        environment: Mapping[str, str] | None,
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """Run words to their end, whatever status that is; see `run`.

        Raises:
            subprocess.TimeoutExpired: they were killed.
        """

    def start(
        self,
        command: str | Sequence[str],
        *,
        user: str | None = None,
        cgroup: str = "init.scope",
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[str]":
        """Begin a command; its input and output are pipes. Arguments as in `run`; whoever starts it ends it.

        Raises:
            GuestError: no pipe leads into a guest of this kind.
        """
        raise GuestError(f"{self!r} has no pipes to {command!r} of {user} in {cgroup} with {environment}")

    @abstractmethod
    def open_terminal(self) -> Terminal:
        """A terminal at which nobody is logged in; its closing hangs up."""

    @abstractmethod
    def seat_variables(self, user: str) -> dict[str, str]:
        """Variables that a display manager must give a session of this user, beside those that name the seat."""

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
        words = ["sh", "-c", command] if isinstance(command, str) else command
        try:
            result = self.execute(words, user=user, cgroup=cgroup, environment=environment, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise GuestError(f"{command}: no end within {timeout} s{self.journal()}") from error
        if check and result.returncode:
            raise GuestError(
                f"{command}: status {result.returncode}\n{result.stdout}{result.stderr}{self.journal()}"
            )
        return result

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run the system's systemctl; gives what it printed."""
        return self.run(["systemctl", *words], check=check).stdout.strip()

    def user_systemctl(self, user: str, *words: str, check: bool = True) -> str:
        """Run a user's own systemctl; gives what it printed."""
        command = ["systemctl", "--user", *words]
        return self.run(command, user=user, check=check, environment=user_environment(user)).stdout.strip()

    def journal(self, *options: str) -> str:
        """The end of the journal, to be put into an error; options are journalctl's."""
        words = ["journalctl", "--boot", "--no-pager", "--lines=20", *options]
        result = self.execute(
            words, user=None, cgroup="init.scope", environment=None, timeout=COMMAND_SECONDS
        )
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

    def wait_for(self, what: str, look: Callable[[], T | None], seconds: float | None = None) -> T:
        """Look until there is something true to see, and give it.

        Args:
            what: is waited for, in words for the error.
            look: is called again and again.
            seconds: until it is given up; `wait_seconds` by default.

        Raises:
            GuestError: it did not come about.
        """
        seconds = self.wait_seconds if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while not (seen := look()):
            if time.monotonic() > deadline:
                raise GuestError(f"{what}: not within {seconds} s{self.journal()}")
            time.sleep(POLL_SECONDS)
        return seen


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
