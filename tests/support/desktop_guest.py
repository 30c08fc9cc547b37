"""A guest of real parts with a desktop: eventd, a stand-in for logind, and the stock agent in the session."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from subprocess import DEVNULL

import anyio

import guestmux
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import running_eventd
from tests.support.standin_logind import standin_logind


@asynccontextmanager
async def desktop_guest(system_bus: PrivateBus, variables: Mapping[str, str]) -> AsyncIterator[str]:
    """Run one for as long as the block lasts; gives its address. Its one session is in the foreground.

    Args:
        system_bus: in the place of the system bus.
        variables: of the session.
    """
    environment = {**os.environ, **variables, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nosuch"}
    async with standin_logind(system_bus.address) as logind:
        session = await logind.control.login("alice", os.getuid())
        with running_eventd(system_bus.address) as eventd:
            command = [sys.executable, "-m", "guestmux_session", "--bus", system_bus.address]
            async with (
                guestmux.connect(f"unix:{eventd.qga}") as watcher,
                watcher.events("AGENT_REGISTERED") as events,
                await anyio.open_process(
                    [*command, "--session", session], env=environment, stdout=DEVNULL, stderr=DEVNULL
                ) as process,
            ):
                async for item in events:
                    # It registers with what D-Bus carries, and is told of anew when it has a channel.
                    if (
                        isinstance(item, guestmux.Event)
                        and "session-clipboard-upload" in item.data["commands"]
                    ):
                        break
                yield f"unix:{eventd.qmp}"
                process.terminate()
                await process.wait()
