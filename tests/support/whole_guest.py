"""A guest of real parts: eventd, the system agent and a session's agent on a private bus, behind a unix socket."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import anyio
from anyio.abc import Process

import guestmux
from tests.support.dbus_daemon import private_bus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import standin_logind

SYSTEM_OPTIONS = ("--system", "--config", os.devnull)


@dataclass
class WholeGuest:
    """Addresses and processes.

    Attributes:
        address: of the port that speaks mux.
        in_order: of the port that speaks qga.
        session: logind's id of alice's session.
        eventd: the daemon.
        system: the system agent.
        alice: the session's agent.
    """

    address: str
    in_order: str
    session: str
    eventd: Eventd
    system: Process
    alice: Process


@asynccontextmanager
async def whole_guest(*eventd_options: str) -> AsyncIterator[WholeGuest]:
    """Run one for as long as the block lasts; both agents are registered, and have their channels."""
    with TemporaryDirectory(prefix="guestmux-agents-") as directory, private_bus() as bus:
        async with standin_logind(bus.address) as logind:
            session = await logind.control.login("alice", os.getuid())
            # A port takes one host at a time, so who waits for the agents has one of his own.
            watched = f"unix-listen:{directory}/watched"
            with running_eventd(bus.address, "--port", f"qga={watched}", *eventd_options) as eventd:
                variables = {"RUNTIME_DIRECTORY": directory, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nosuch"}
                async with (
                    guestmux.connect(f"unix:{directory}/watched") as watcher,
                    _agent(bus.address, watcher, variables, *SYSTEM_OPTIONS) as system,
                    _agent(
                        bus.address, watcher, {**variables, "WHO": "alice"}, "--session", session
                    ) as alice,
                ):
                    yield WholeGuest(
                        f"unix:{eventd.qmp}", f"unix:{eventd.qga}", session, eventd, system, alice
                    )


@asynccontextmanager
async def _agent(
    bus: str, watcher: guestmux.Guest, variables: dict[str, str], *options: str
) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "guestmux_session", "--bus", bus, *options]
    async with (
        watcher.events("AGENT_REGISTERED") as stream,
        await anyio.open_process(
            command, env={**os.environ, **variables}, stdout=DEVNULL, stderr=DEVNULL
        ) as process,
    ):
        async for item in stream:
            # It registers with what D-Bus carries, and is told of anew when it has a channel.
            if isinstance(item, guestmux.Event) and "guest-exec-attach" in item.data["commands"]:
                break
        yield process
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def run_guestmux(address: str, *arguments: str | Path, given: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run a command line in a process of its own; gives exit status, stdout, stderr."""
    done = await anyio.run_process(
        [sys.executable, "-m", "guestmux", "-c", address, *map(str, arguments)], input=given, check=False
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout, done.stderr
