"""A guest that really boots: Debian in systemd-nspawn, by the rig of the project's own guest tests."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio.to_thread import run_sync

from guestmux.demo.errors import DemoError

T = TypeVar("T")

CHECKOUT: Final = Path(__file__).parents[3]
"""Where the tests are, when this runs from a checkout of the source."""

RIG: Final = "tests.guest.rig"
LOGINS: Final = "tests.guest.logins"

RIG_ERRORS: Final = (
    (RIG, "GuestError"),
    ("tests.guest.cgroups", "CgroupError"),
    ("tests.guest.container", "ContainerError"),
    ("tests.guest.image", "ImageError"),
    ("tests.guest.packages", "InstallError"),
)
"""By module: what the rig raises."""

PYTHON: Final = (
    *("env", "PYTHONPATH=/usr/local/lib/guestmux-demo:/usr/lib/guestmux"),
    *("python3", "-B", "-m"),
)
"""In the guest: the packages' libraries, and the demo's own modules where tests/guest/install.py puts them."""

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
AGENT_UNIT: Final = "guestmux-session.service"

LOGIN1: Final = "org.freedesktop.login1"
MANAGER: Final = (LOGIN1, "/org/freedesktop/login1", f"{LOGIN1}.Manager")

READY_PATIENCE: Final = 15.0
"""Seconds for the stand-in for a desktop to start."""


class ContainerStage:
    """The guest.

    Args:
        guest: the rig's.
        logins: the rig's module of logins.
        stack: what ends each session.
    """

    comes_back = False

    def __init__(self, guest: Any, logins: Any, stack: ExitStack) -> None:
        self._guest = guest
        self._logins = logins
        self._stack = stack
        self._sessions: dict[str, Any] = {}
        self._desktops: dict[str, subprocess.Popen[str]] = {}

    @property
    def address(self) -> str:
        """How the host reaches eventd: through the container's root."""
        return f"unix:{self._guest.port('qmp')}"

    @property
    def setting(self) -> Sequence[str]:
        """What is real, and what is not."""
        return [
            f"a Debian guest booted by systemd-nspawn: {self._guest.container.name}",
            "systemd, logind, PAM and D-Bus are real; guestmux is installed as packaged",
            "only the desktops (notifications, screen locker) are stand-ins",
        ]

    @property
    def users(self) -> tuple[str, str]:
        """The two users' names."""
        return "alice", "bob"

    async def login(self, user: str) -> str:
        """Open a session on seat0 through PAM, as a display manager does; the agent comes with it."""
        login = await _in_thread(
            lambda: self._stack.enter_context(self._logins.seat_login(self._guest, user))
        )
        self._sessions[login.session] = login
        await _in_thread(login.activate)
        await self._start_desktop(login)
        return str(login.session)

    async def lock(self, session: str) -> None:
        """`loginctl lock-session`."""
        await _in_thread(self._sessions[session].lock)

    async def set_idle(self, session: str, *, idle: bool) -> None:
        """SetIdleHint, as the session's desktop calls it."""

        def call() -> None:
            path = self._guest.busctl("call", *MANAGER, "GetSession", "s", session)["data"][0]
            words = [
                "busctl",
                "call",
                LOGIN1,
                path,
                f"{LOGIN1}.Session",
                "SetIdleHint",
                "b",
                str(idle).lower(),
            ]
            self._sessions[session].run(words)

        await _in_thread(call)

    async def crash_agent(self, session: str) -> None:
        """Send the agent SIGKILL."""
        user = self._sessions[session].user
        await _in_thread(
            lambda: self._guest.user_systemctl(user, "kill", "--kill-whom=main", "--signal=KILL", AGENT_UNIT)
        )

    async def start_agent(self, session: str) -> None:
        """Nothing: the user's systemd starts it again by itself."""
        del session

    async def shut_down(self) -> str:
        """Have logind power the guest off, and wait until it is."""
        await _in_thread(lambda: self._guest.busctl("call", *MANAGER, "PowerOff", "b", "false"))
        await _in_thread(self._guest.container.wait_stopped)
        return "the guest held its shutdown until the host knew, then switched itself off"

    async def keep_going(self) -> Sequence[tuple[str, str]]:
        """It was not shut down; log the second user in again."""
        await self.login(self.users[1])
        enter = f"nsenter --target {self._guest.container.leader} --all --root --wd"
        return [
            (f"{enter} loginctl", "the same, as logind in the guest sees it"),
            (f"{enter} loginctl lock-sessions", "lock from inside"),
            (f"{enter} journalctl -u guestmux-eventd", "what eventd says"),
        ]

    async def _start_desktop(self, login: Any) -> None:
        """Start the stand-in for a desktop in a session, and wait until it serves."""
        if login.user in self._desktops:
            # Of a session that is just ending; it has the name that the new one needs.
            _end(self._desktops[login.user])
        bus = f"unix:path=/run/user/{login.properties()['User']}/bus"
        options = ["--bus", SYSTEM_BUS, "--session-bus", bus, "--session", login.session]
        # Not in a thread: it is killed when the thread that started it ends.
        desktop = login.start([*PYTHON, "guestmux.demo.standin_desktop", *options])
        self._desktops[login.user] = desktop
        self._stack.callback(_end, desktop)
        with anyio.move_on_after(READY_PATIENCE):
            line = await _in_thread(desktop.stdout.readline)
            if line == "ready\n":
                return
            raise DemoError(f"the stand-in for {login.user}'s desktop did not start: {line}")
        raise DemoError(f"the stand-in for {login.user}'s desktop did not start in time")


@asynccontextmanager
async def container_stage() -> AsyncIterator[ContainerStage]:
    """Boot the guest, and take it away after the block.

    Raises:
        DemoError: this is no checkout, not root, or the container does not boot; the text says what to do.
    """
    rig, logins = _load_rig()
    with ExitStack() as stack:
        print(
            "booting a guest (the first time it is built, which takes minutes)", file=sys.stderr, flush=True
        )
        guest = await _in_thread(lambda: stack.enter_context(rig.booted_guest()))
        yield ContainerStage(guest, logins, stack)


def _load_rig() -> tuple[Any, Any]:
    if not (CHECKOUT / RIG.replace(".", "/")).with_suffix(".py").exists():
        raise DemoError(
            "--guest container needs a checkout of guestmux's source, whose tests boot the guest;"
            " in one: make demo GUEST=container"
        )
    if os.getuid() != 0:
        raise DemoError("--guest container needs root, as systemd-nspawn does")
    sys.path.insert(0, str(CHECKOUT))
    return importlib.import_module(RIG), importlib.import_module(LOGINS)


async def _in_thread(work: Callable[[], T]) -> T:
    """Do what blocks; the rig's errors become ours."""
    try:
        return await run_sync(work)
    except _blocking_errors() as error:
        raise DemoError(str(error)) from error


def _blocking_errors() -> tuple[type[Exception], ...]:
    rigs = (getattr(importlib.import_module(module), name) for module, name in RIG_ERRORS)
    return (subprocess.SubprocessError, OSError, *rigs)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
