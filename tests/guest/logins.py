"""Real PAM logins: at a getty on a pty with name and password, and on seat0 as a display manager does it."""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.guest.image import PASSWORD
from tests.guest.rig import LOGIND, POLL_SECONDS, WAIT_SECONDS, Guest, GuestError, user_environment

TIOCGPTN = 0x80045430
"""Gives a pty's number (linux/tty.h); Python's termios has no name for it before 3.13."""

TIOCSPTLCK = 0x40045431
"""Unlocks a pty."""

INCORRECT = "Login incorrect"
"""What login(1) says to a wrong password."""


class Login:
    """A logind session that a login made.

    Attributes:
        session: logind's id.
        user: the name.
    """

    def __init__(self, guest: Guest, user: str, session: str) -> None:
        self.guest = guest
        self.user = user
        self.session = session
        properties = self.properties()
        self._cgroup = f"user.slice/user-{properties['User']}.slice/{properties['Scope']}"
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
        """Begin a process of this session; see `run` and `Guest.start`."""
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

    def __init__(self, guest: Guest, user: str, session: str, terminal: "Terminal") -> None:
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


class Terminal:
    """A pty in the guest, held at its outer end.

    Attributes:
        tty: its name in the guest.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._fd = os.open(guest.container.path("/dev/pts/ptmx"), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        [self.number] = struct.unpack("i", fcntl.ioctl(self._fd, TIOCGPTN, b"\0" * 4))
        fcntl.ioctl(self._fd, TIOCSPTLCK, struct.pack("i", 0))
        self.tty = f"pts/{self.number}"

    def type(self, line: str) -> None:
        """Type a line and press return."""
        os.write(self._fd, line.encode() + b"\n")

    def expect(self, *texts: str) -> str:
        """Read until the terminal shows one of some texts; gives the one.

        Raises:
            GuestError: it shows none of them.
        """
        shown = b""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            shown += self._read(deadline)
            for text in texts:
                if text.encode() in shown:
                    return text
        raise GuestError(f"{self.tty} does not show {texts}; it shows {shown!r}{self._guest.journal()}")

    def _read(self, deadline: float) -> bytes:
        if not select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        try:
            return os.read(self._fd, 4096)
        except OSError:
            # EIO: nobody has the inner end open. systemd closes it a few times before getty comes.
            time.sleep(POLL_SECONDS)
            return b""

    def raw(self) -> None:
        """Pass bytes as they are, for use as a port rather than by a person."""
        attributes = termios.tcgetattr(self._fd)
        attributes[:4] = [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0]
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)

    def fileno(self) -> int:
        """The outer end."""
        return self._fd

    def close(self) -> None:
        """Hang up."""
        os.close(self._fd)


@contextmanager
def terminal(guest: Guest) -> Iterator[Terminal]:
    """A new pty in the guest; hung up after the block."""
    opened = Terminal(guest)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def terminal_login(guest: Guest, user: str, password: str = PASSWORD) -> Iterator[TerminalLogin]:
    """Log in at a getty with name and password; the terminal hangs up after the block.

    Raises:
        GuestError: the login was refused.
    """
    with terminal(guest) as screen:
        getty = f"container-getty@{screen.number}.service"
        guest.systemctl("start", getty)
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
            guest.systemctl("stop", getty)


@contextmanager
def seat_login(
    guest: Guest, user: str, *, kind: str = "wayland", command: Sequence[str] = ("sleep", "infinity")
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


def _session_with(guest: Guest, user: str, name: str, value: str) -> str | None:
    for session in guest.sessions():
        if session.user == user and guest.session_properties(session.id).get(name) == value:
            return session.id
    return None
