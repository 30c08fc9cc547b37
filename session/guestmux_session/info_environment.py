"""session-get-info: the user, the desktop and the environment, from the session's variables and logind."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from guestmux_protocol.session_commands import SESSION, SessionGetInfo, SessionInfo
from guestmux_session.declarations import command_of
from guestmux_session.errors import Disconnected
from guestmux_session.logind import LoginSession
from guestmux_session.provider import Provider, ProviderHost
from guestmux_transport.errors import BusError

DisplayServer = Literal["x11", "wayland", "none"]

VARIABLES = frozenset(
    {
        "DBUS_SESSION_BUS_ADDRESS",
        "DESKTOP_SESSION",
        "DISPLAY",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TZ",
        "USER",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
    }
)
"""What a program started from outside needs to be part of the session. Not all there is: it may hold secrets."""

PREFIXES = ("LC_", "XDG_")

_WITH_WINDOWS: dict[str, DisplayServer] = {"x11": "x11", "wayland": "wayland"}


class InfoEnvironment(Provider):
    """Tells what the session is like. Lacks nothing anywhere.

    Args:
        host: the agent.
        environment: gives the session's variables; the agent's own are older than the desktop where the user's systemd
            started it.
    """

    name = "info-environment"

    def __init__(self, host: ProviderHost, environment: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        super().__init__(host)
        self._environment = environment

    @command_of(SESSION["session-get-info"])
    async def info(self, _arguments: SessionGetInfo) -> SessionInfo:
        """Tell all of it."""
        user = account(os.getuid())
        session_type, desktop = await from_logind(self._host)
        environment = await self._environment()
        await self._host.look()
        return SessionInfo(
            session=self._host.session,
            user=user.pw_name,
            uid=user.pw_uid,
            home=user.pw_dir,
            shell=user.pw_shell,
            desktop=environment.get("XDG_CURRENT_DESKTOP") or desktop,
            display_server=display_server(environment, session_type),
            environment=relevant(environment),
            providers=dict(self._host.states),
        )


async def from_logind(host: ProviderHost) -> tuple[str, str]:
    """The session's type and desktop; a systemd --user service has neither in its environment."""
    try:
        session = await LoginSession.of(host)
        return str(await session.get("Type")), str(await session.get("Desktop"))
    except (BusError, Disconnected):
        return "", ""


def account(uid: int) -> pwd.struct_passwd:
    """The user's entry; one that has none (a container's, a test's) goes by number."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        home = os.environ.get("HOME", "/")
        return pwd.struct_passwd((str(uid), "x", uid, os.getgid(), "", home, os.environ.get("SHELL", "")))


def relevant(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that programs of the session need, as far as they are text."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if (name in VARIABLES or name.startswith(PREFIXES)) and (name + value).isprintable()
    }


def display_server(environment: Mapping[str, str], session_type: str) -> DisplayServer:
    """What shows the session's windows: as the environment says, else as logind does."""
    for kind in (environment.get("XDG_SESSION_TYPE", ""), session_type):
        if kind in _WITH_WINDOWS:
            return _WITH_WINDOWS[kind]
    if environment.get("WAYLAND_DISPLAY"):
        return "wayland"
    if environment.get("DISPLAY"):
        return "x11"
    return "none"
