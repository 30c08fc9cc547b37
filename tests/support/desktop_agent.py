"""The stock agent in a session with a desktop, before a stand-in for eventd."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from guestmux_session.session_config import ClipboardPolicy, SessionConfig
from guestmux_session.stock import SessionAgent
from guestmux_transport.values import Variant
from tests.support.dbus_daemon import PrivateBus
from tests.support.standin_logind import StandinLogind, standin_logind
from tests.support.standin_manager import StandinManager, standin_manager

DESKTOP_VARIABLES = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE")

WITHHELD = {"APP_STARTED": ["title"], "APP_FOCUSED": ["title"]}
"""What eventd withholds unless it is told otherwise."""

ASK_SECONDS = 0.05
"""Seconds between two questions."""


class DesktopAgent:
    """The agent, and what it told.

    Attributes:
        manager: the stand-in for eventd.
        logind: the stand-in for logind; the session is `c2`.
    """

    def __init__(self, manager: StandinManager, logind: StandinLogind) -> None:
        self.manager = manager
        self.logind = logind
        self._ids = itertools.count(1)

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Its events, in order."""
        return [(entry[1], entry[2]) for entry in self.manager.log if entry[0] == "emit"]

    async def call(self, command: str, **arguments: Any) -> Any:
        """Call a command of its; underscores stand for dashes."""
        members = {name.replace("_", "-"): value for name, value in arguments.items()}
        agent = await self.manager.agent()
        return await self.manager.call(agent, command, members, call_id=next(self._ids))

    async def apps(self) -> dict[str, dict[str, Any]]:
        """What session-list-apps says, by id."""
        return {app["app-id"]: app for app in (await self.call("session-list-apps"))["apps"]}

    async def until_runs(self, app_id: str, windows: int = 1) -> dict[str, Any]:
        """Ask until an application has so many windows; without a subscription nothing tells. 0: until it is gone."""
        while True:
            app = (await self.apps()).get(app_id, {"windows": 0})
            if app["windows"] == windows:
                return app
            await anyio.sleep(ASK_SECONDS)

    async def source(self) -> str:
        """Where it knows applications from."""
        providers = (await self.call("session-get-info"))["providers"]
        return str(providers["apps"])

    async def until_told(self, event: str, **members: Any) -> dict[str, Any]:
        """Wait for an event with these members, not waiting for those told before; gives its data."""
        wanted = {name.replace("_", "-"): value for name, value in members.items()}
        while True:
            for name, data in self.told:
                if name == event and wanted.items() <= data.items():
                    return data
            await self.manager.changed()

    async def until_claimed(self, what: str, **claims: bool) -> None:
        """Wait until it has said last that the session is so."""
        while [entry for entry in self.manager.log if entry[:2] == ("claim", what)][-1:] != [
            ("claim", what, claims)
        ]:
            await self.manager.changed()

    async def watched(self) -> None:
        """Have a host subscribe, and wait until the agent follows the session's applications."""
        self.manager.want("APP_*")
        # A focus is told when there is all else.
        await self.until_told("APP_FOCUSED")

    async def clipboard_source(self) -> str:
        """Where it knows the clipboard from."""
        return str((await self.call("session-get-info"))["providers"]["clipboard"])

    async def clipboard_watched(self) -> None:
        """Have a host subscribe, and wait until the agent follows the session's clipboards."""
        self.manager.want("CLIPBOARD_CHANGED")
        self.forget()
        async with anyio.create_task_group() as group:

            async def change() -> None:
                while True:
                    await self.call("session-clipboard-set", text="watched", selection="primary")
                    await anyio.sleep(ASK_SECONDS)

            group.start_soon(change)
            await self.until_told("CLIPBOARD_CHANGED")
            group.cancel_scope.cancel()

    def forget(self) -> None:
        """Forget what was told."""
        self.manager.log.clear()


def put_into(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Be in a session with these variables and no other desktop's."""
    for name in DESKTOP_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def desktop_agent(
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    *,
    titles: bool = False,
    clipboard: ClipboardPolicy = "active",
    clipboard_sizes: bool = False,
    idle_seconds: int = 300,
    uri_schemes: tuple[str, ...] = (),
) -> AsyncIterator[DesktopAgent]:
    """Run the agent for as long as the block lasts, in the session that this process's variables describe."""
    config = SessionConfig(
        clipboard=clipboard,
        clipboard_sizes=clipboard_sizes,
        idle_seconds=idle_seconds,
        uri_schemes=uri_schemes,
    )
    agent = SessionAgent(bus=system_bus.address, session_bus=session_bus.address, config=config)
    async with standin_logind(system_bus.address) as logind, standin_manager(system_bus.address) as manager:
        if not titles:
            manager.granted = {"withheld": Variant("a{sas}", WITHHELD)}
        await logind.control.login("alice", os.getuid(), id="c2")
        async with anyio.create_task_group() as group:
            group.start_soon(agent.run)
            await manager.agent()
            yield DesktopAgent(manager, logind)
            group.cancel_scope.cancel()
