"""Desktops of users on the seat: display servers that need no screen, in containers and machines alike."""

import base64
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from tests.guest.logins import Login, seat_login
from tests.guest.system import GuestSystem

START_SECONDS = 60.0
"""Time that a display server, and what follows it, has on a busy machine."""


class Desktop(ABC):
    """A user's display server, and what is on it. It is the session's: started in it, by its user.

    Args:
        login: the session.

    Attributes:
        kind: what XDG_SESSION_TYPE says.
        server: the display server's program.
        app: the id of an application that is there.
        window: the program of its windows.
        sources: where the agent then knows things from, by what session-get-info calls them.
        display: the display's name.
    """

    kind: ClassVar[str]
    server: ClassVar[str]
    app: ClassVar[str]
    window: ClassVar[str]
    sources: ClassVar[dict[str, str]]
    display: ClassVar[str]

    def __init__(self, login: Login) -> None:
        self.login = login

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.login!r}>"

    @property
    def guest(self) -> GuestSystem:
        """Where it is."""
        return self.login.guest

    @property
    @abstractmethod
    def variables(self) -> dict[str, str]:
        """By which programs find the display server."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until the user's systemd has been told of it, as by the desktop itself."""

    @abstractmethod
    def copy(self, text: str) -> None:
        """Have a program put a text into the clipboard."""

    @abstractmethod
    def paste(self) -> str:
        """What a program gets out of the clipboard."""

    @abstractmethod
    def start_locker(self) -> None:
        """Have a program lock the screen when logind is asked to, and say when it is locked."""

    def run(self, script: str) -> str:
        """What a program on it prints."""
        words = [f"{name}={value}" for name, value in self.variables.items()]
        return self.login.run(["env", *words, "sh", "-c", script]).stdout

    def begin(self, command: str, output: str = "/dev/null") -> None:
        """Start a program on it that runs on."""
        self.run(f"setsid -f {command} </dev/null >{output} 2>/dev/null")

    def crash(self) -> None:
        """End the display server at once, and with it what is on it."""
        self.login.run(["pkill", "-KILL", "-u", self.login.user, "-x", self.server])
        programs = (self.server, self.window)
        self.wait_for(f"the end of {programs}", lambda: not any(map(self.count, programs)))

    def wait_for(self, what: str, look: Callable[[], object]) -> None:
        """Look until there is something true to see, as long as display servers may take."""
        self.guest.wait_for(what, look, max(START_SECONDS, self.guest.wait_seconds))

    def count(self, program: str) -> int:
        """How many processes of a program the user has."""
        command = ["pgrep", "--count", "-u", self.login.user, "-x", program]
        return int(self.guest.run(command, check=False).stdout)

    def imported(self, variable: str) -> str:
        """What the user's systemd knows of a variable; empty where it knows nothing."""
        lines = self.guest.user_systemctl(self.login.user, "show-environment").splitlines()
        return next((line for line in lines if line.startswith(f"{variable}=")), "")


# The script in docs/desktop.md.
_LOCK_SCREEN = """\
#!/bin/sh
hint() { busctl call org.freedesktop.login1 /org/freedesktop/login1/session/auto \\
    org.freedesktop.login1.Session SetLockedHint b "$1"; }
{ swaylock -f 3>&1 >/dev/null && echo; } | { read -r _ && hint true; cat >/dev/null; hint false; }
"""


class SwayDesktop(Desktop):
    """sway with foot."""

    kind = "wayland"
    server = "sway"
    app = window = "foot"
    sources: ClassVar = dict.fromkeys(("apps", "clipboard", "displays"), "wayland-wlr")
    display = "HEADLESS-1"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "WAYLAND_DISPLAY": "wayland-1",
            "XDG_CURRENT_DESKTOP": "sway",
            "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": "pixman",
        }

    def start(self) -> None:
        # Debian's own settings tell the user's systemd. Each sway has another socket.
        self.run('mkdir -p ~/.config/sway; echo "include /etc/sway/config.d/*" >~/.config/sway/config')
        before = self.imported("SWAYSOCK")
        self.begin("env --unset=WAYLAND_DISPLAY sway")
        self.wait_for("sway", lambda: self.imported("SWAYSOCK") not in ("", before))

    def copy(self, text: str) -> None:
        self.run(f"wl-copy {text} >/dev/null 2>&1")

    def paste(self) -> str:
        return self.run("wl-paste --no-newline")

    def start_locker(self) -> None:
        script = base64.b64encode(_LOCK_SCREEN.encode()).decode()
        self.run(f"echo {script} | base64 -d >~/lock-screen")
        self.begin("swayidle lock 'sh ~/lock-screen' unlock 'pkill -USR1 -x swaylock'")


class X11Desktop(Desktop):
    """Xvfb with openbox and xterm."""

    kind = "x11"
    server = "Xvfb"
    app = "debian-xterm"
    window = "xterm"
    sources: ClassVar = {"apps": "x11-ewmh", "clipboard": "x11", "displays": "x11-randr"}
    display = "screen"

    @property
    def variables(self) -> dict[str, str]:
        return {"DISPLAY": ":1", "XAUTHORITY": f"/home/{self.login.user}/.Xauthority"}

    def start(self) -> None:
        parts = [b"", b"", b"MIT-MAGIC-COOKIE-1", os.urandom(16)]
        # Of any host and any display.
        cookie = b"\xff\xff" + b"".join(struct.pack(">H", len(part)) + part for part in parts)
        self.run(f"umask 077; echo {base64.b64encode(cookie).decode()} | base64 -d >$XAUTHORITY")
        # It writes the display's number when it is ready.
        self.run("rm -f ~/display")
        options = "-nolisten tcp -noreset -screen 0 640x480x24 -displayfd 1"
        self.begin(f"Xvfb $DISPLAY -auth $XAUTHORITY {options}", "~/display")
        self.wait_for("the X server", lambda: self.run("cat ~/display").strip())
        self.begin("openbox")
        # What Debian's /etc/X11/Xsession.d does.
        self.run("dbus-update-activation-environment --systemd DISPLAY XAUTHORITY")

    def copy(self, text: str) -> None:
        self.run(f"echo -n {text} | xclip -selection clipboard >/dev/null 2>&1")

    def paste(self) -> str:
        return self.run("xclip -selection clipboard -out")

    def start_locker(self) -> None:
        self.begin("xss-lock -- sleep 1000")


@contextmanager
def desktop_login(guest: GuestSystem, user: str, kind: type[Desktop]) -> Iterator[Desktop]:
    """Log a user in on the seat, with a desktop that is not started yet; all ends with the block."""
    with seat_login(guest, user, kind=kind.kind) as login:
        try:
            yield kind(login)
        finally:
            # Its programs would keep the session.
            login.terminate()
