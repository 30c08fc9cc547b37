"""A guest that really boots, by the rig of the project's own tests: what a container and a virtual machine share."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from guestmux.demo.errors import DemoError

T = TypeVar("T")

CHECKOUT: Final = Path(__file__).parents[3]
"""Where the tests are, when this runs from a checkout of the source."""

LOGINS: Final = "tests.guest.logins"

RIG_ERRORS: Final = (
    ("tests.guest.system", "GuestError"),
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
DESKTOP_UNIT: Final = "guestmux-demo-desktop-{user}.service"

LOGIN1: Final = "org.freedesktop.login1"
MANAGER: Final = (LOGIN1, "/org/freedesktop/login1", f"{LOGIN1}.Manager")


class RigThread:
    """The thread that does all that blocks; the rig's machines end when the thread does that started them.

    Args:
        errors: what the rig raises.
    """

    def __init__(self, errors: tuple[type[Exception], ...]) -> None:
        self._errors = errors
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rig")

    async def run(self, work: Callable[[], T]) -> T:
        """Do what blocks, to its end even when cancelled.

        Raises:
            DemoError: the rig could not.
        """
        done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(done)
        except self._errors as error:
            raise DemoError(str(error)) from error
        finally:
            await asyncio.wait([done])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


class BootedStage(ABC):
    """A booted guest of the rig.

    Args:
        guest: the rig's.
        logins: the rig's module of logins.
        stack: what ends each session.
        thread: where the rig does its work.
    """

    comes_back = False
    pace = 1.0
    one_clock = True

    def __init__(self, guest: Any, logins: Any, stack: ExitStack, thread: RigThread) -> None:
        self._guest = guest
        self._logins = logins
        self._stack = stack
        self._thread = thread
        self._sessions: dict[str, Any] = {}

    @property
    @abstractmethod
    def address(self) -> str:
        """How the host reaches eventd."""

    @property
    @abstractmethod
    def setting(self) -> Sequence[str]:
        """What is real, and what is not."""

    @property
    def users(self) -> tuple[str, str]:
        """The two users' names."""
        return "alice", "bob"

    async def login(self, user: str) -> str:
        """Open a session on seat0 through PAM, as a display manager does; the agent comes with it."""
        login = await self._thread.run(
            lambda: self._stack.enter_context(self._logins.seat_login(self._guest, user))
        )
        self._sessions[login.session] = login
        await self._thread.run(login.activate)
        await self._thread.run(lambda: self._start_desktop(login))
        return str(login.session)

    async def lock(self, session: str) -> None:
        """`loginctl lock-session`."""
        await self._thread.run(self._sessions[session].lock)

    async def set_idle(self, session: str, *, idle: bool) -> None:
        """SetIdleHint, as the session's desktop calls it."""

        def call() -> None:
            path = self._guest.busctl("call", *MANAGER, "GetSession", "s", session)["data"][0]
            words = ["busctl", "call", LOGIN1, path, f"{LOGIN1}.Session", "SetIdleHint", "b"]
            self._sessions[session].run([*words, str(idle).lower()])

        await self._thread.run(call)

    async def crash_agent(self, session: str) -> None:
        """Send the agent SIGKILL."""
        user = self._sessions[session].user
        words = ("kill", "--kill-whom=main", "--signal=KILL", AGENT_UNIT)
        await self._thread.run(lambda: self._guest.user_systemctl(user, *words))

    async def start_agent(self, session: str) -> None:
        """Nothing: the user's systemd starts it again by itself."""
        del session

    async def shut_down(self) -> str:
        """Have logind power the guest off, and wait until it is."""
        await self._thread.run(lambda: self._guest.busctl("call", *MANAGER, "PowerOff", "b", "false"))
        await self._thread.run(self._wait_off)
        return "the guest held its shutdown until the host knew, then switched itself off"

    async def keep_going(self) -> Sequence[tuple[str, str]]:
        """It was not shut down; log the second user in again."""
        await self.login(self.users[1])
        return self._ways_in()

    @abstractmethod
    def _wait_off(self) -> None:
        """Wait until the guest has switched itself off."""

    @abstractmethod
    def _ways_in(self) -> Sequence[tuple[str, str]]:
        """Commands that look at the guest from inside."""

    def _start_desktop(self, login: Any) -> None:
        """Start the stand-in for a desktop in a session, and wait until it serves."""
        unit = DESKTOP_UNIT.format(user=login.user)
        # Of a session that is just ending; it has the name that the new one needs.
        self._guest.systemctl("stop", unit, check=False)
        service = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--uid={login.user}"]
        bus = f"unix:path=/run/user/{login.properties()['User']}/bus"
        options = ["--bus", SYSTEM_BUS, "--session-bus", bus, "--session", login.session]
        program = [*PYTHON, "guestmux.demo.standin_desktop", *options]
        self._guest.run([*service, "--property=Type=notify", "--", *program])


@contextmanager
def rig(kind: str, module: str, *errors: tuple[str, str]) -> Iterator[tuple[Any, Any, RigThread]]:
    """Load the tests' rig; gives its module, that of logins, and a thread for the work.

    Args:
        kind: of guest, as --guest takes it.
        module: the rig's.
        errors: what it raises beside RIG_ERRORS.

    Raises:
        DemoError: this is no checkout, or not root; the text says what to do.
    """
    if not (CHECKOUT / module.replace(".", "/")).with_suffix(".py").exists():
        raise DemoError(
            f"--guest {kind} needs a checkout of guestmux's source, whose tests boot the guest;"
            f" in one: make demo GUEST={kind}"
        )
    if os.getuid() != 0:
        raise DemoError(f"--guest {kind} needs root, to build the guest and to log its users in")
    sys.path.insert(0, str(CHECKOUT))
    raised = [getattr(importlib.import_module(name), error) for name, error in (*RIG_ERRORS, *errors)]
    thread = RigThread((subprocess.SubprocessError, OSError, *raised))
    try:
        yield importlib.import_module(module), importlib.import_module(LOGINS), thread
    finally:
        thread.close()


def announce_boot() -> None:
    """Say what takes so long."""
    print("booting a guest (the first time it is built, which takes minutes)", file=sys.stderr, flush=True)
