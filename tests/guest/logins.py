"""Real PAM logins: at a getty on a pty with name and password, and on seat0 as a display manager does it."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.guest.image import PASSWORD
from tests.guest.system import LOGIND, GuestError, GuestSystem, user_environment
from tests.guest.terminal import Terminal

INCORRECT = "Login incorrect"
"""What login(1) says to a wrong password."""


class Login:
    """A logind session that a login made.

    Attributes:
        session: logind's id.
        user: the name.
    """

    def __init__(self, guest: GuestSystem, user: str, session: str) -> None:
        self.guest = guest
        self.user = user
        self.session = session
        properties = self.properties()
        scope = properties["Scope"]
        # logind shows a session before systemd has made its scope, and its processes are to be put into that.
        guest.wait_for(
            f"{scope} of {user}", lambda: guest.systemctl("is-active", scope, check=False) == "active"
        )
        self._cgroup = f"user.slice/user-{properties['User']}.slice/{scope}"
        self._environment = user_environment(user) | {
            "XDG_SESSION_ID": session,
            "XDG_SESSION_TYPE": properties["Type"],
            "XDG_SESSION_CLASS": properties["Class"],
            **({"XDG_SEAT": properties["Seat"]} if properties.get("Seat") else {}),
        }

    def __repr__(self) -> str:
        """Who, and which session."""
        return f"<{type(self).__name__} {self.user} session={self.session}>"

    def properties(self) -> dict[str, str]:
        """What logind says of the session now; {} after its end."""
        return self.guest.session_properties(self.session)

    def run(self, command: str | Sequence[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command as a process of this session: in its scope, as its user, with its environment."""
        return self.guest.run(
            command, user=self.user, check=check, cgroup=self._cgroup, environment=self._environment
        )

    def start(self, command: str | Sequence[str]) -> "subprocess.Popen[str]":
        """Begin a process of this session; see `run` and `GuestSystem.start`."""
        return self.guest.start(command, user=self.user, cgroup=self._cgroup, environment=self._environment)

    def lock(self) -> None:
        """`loginctl lock-session`, as root: asks the session's own screen locker, which says when it is done."""
        self.guest.run(["loginctl", "lock-session", self.session])

    def unlock(self) -> None:
        """`loginctl unlock-session`, as root."""
        self.guest.run(["loginctl", "unlock-session", self.session])

    def set_locked(self, locked: bool) -> None:
        """Say, as the session's screen locker does, whether the screen is locked now (SetLockedHint)."""
        path = self.guest.busctl("call", *LOGIND, "GetSession", "s", self.session)["data"][0]
        call = ["busctl", "call", "org.freedesktop.login1", path, "org.freedesktop.login1.Session"]
        self.run([*call, "SetLockedHint", "b", str(locked).lower()])

    def activate(self) -> None:
        """Bring the session to its seat's foreground."""
        self.guest.run(["loginctl", "activate", self.session])

    def terminate(self) -> None:
        """`loginctl terminate-session`, and wait until logind has forgotten it."""
        self.guest.run(["loginctl", "terminate-session", self.session], check=False)
        self.wait_gone()

    def wait_gone(self) -> None:
        """Wait until logind has forgotten the session."""
        self.guest.wait_for(f"the end of {self!r}", lambda: not self.properties())


class TerminalLogin(Login):
    """A login at a getty; the test is at the keyboard.

    Attributes:
        tty: the terminal's name in the guest, as "pts/3".
    """

    def __init__(self, guest: GuestSystem, user: str, session: str, terminal: "Terminal") -> None:
        super().__init__(guest, user, session)
        self.terminal = terminal
        self.tty = terminal.tty

    def type(self, line: str) -> None:
        """Type a line into the session's shell."""
        self.terminal.type(line)

    def logout(self) -> None:
        """Type exit, and wait until logind has forgotten the session."""
        self.type("exit")
        self.wait_gone()


@contextmanager
def terminal(guest: GuestSystem) -> Iterator[Terminal]:
    """A terminal of the guest; hung up after the block."""
    opened = guest.open_terminal()
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def terminal_login(guest: GuestSystem, user: str, password: str = PASSWORD) -> Iterator[TerminalLogin]:
    """Log in at a getty with name and password; the terminal hangs up after the block.

    Raises:
        GuestError: the login was refused.
        TerminalError: nobody asks for name and password.
    """
    with terminal(guest) as screen:
        guest.systemctl("start", screen.getty)
        try:
            screen.expect("login: ")
            screen.type(user)
            screen.expect("Password: ")
            screen.type(password)
            if screen.expect("$ ", INCORRECT) == INCORRECT:
                raise GuestError(f"{user}: {INCORRECT}")
            session = guest.wait_for(
                f"a session of {user}", lambda: _session_with(guest, user, "TTY", screen.tty)
            )
            yield TerminalLogin(guest, user, session, screen)
        finally:
            guest.systemctl("stop", screen.getty)


@contextmanager
def seat_login(
    guest: GuestSystem, user: str, *, kind: str = "wayland", command: Sequence[str] = ("sleep", "infinity")
) -> Iterator[Login]:
    """Open a graphical session on seat0, as a display manager does; it ends with the block.

    Args:
        guest: where.
        user: whose.
        kind: "wayland" or "x11", what XDG_SESSION_TYPE says.
        command: the session's first process, whose end is the session's end.
    """
    unit = f"seat0-{user}-{time.monotonic_ns()}.service"
    variables = {
        "XDG_SEAT": "seat0",
        "XDG_SESSION_TYPE": kind,
        "XDG_SESSION_CLASS": "user",
        "XDG_SESSION_DESKTOP": "test",
        **guest.seat_variables(user),
    }
    options = [f"--setenv={name}={value}" for name, value in variables.items()]
    options += ["--property=PAMName=login", f"--property=User={user}", "--property=WorkingDirectory=~"]
    guest.run(["systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, *command])
    try:
        leader = guest.systemctl("show", "--value", "--property=MainPID", unit)
        yield Login(
            guest,
            user,
            guest.wait_for(f"a session of {user}", lambda: _session_with(guest, user, "Leader", leader)),
        )
    finally:
        guest.systemctl("stop", unit, check=False)


def _session_with(guest: GuestSystem, user: str, name: str, value: str) -> str | None:
    for session in guest.sessions():
        if session.user == user and guest.session_properties(session.id).get(name) == value:
            return session.id
    return None
