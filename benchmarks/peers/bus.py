"""The bus of a benchmark, with somebody logged in: a private dbus-daemon and the stand-in for logind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from benchmarks.peers.processes import environment, python, running
from guestmux.demo.standin_logind.client import StandinControl
from guestmux_transport.bus import connect_bus
from tests.support.dbus_daemon import private_bus

USER = "bench"
"""Who is logged in, with the uid of whoever measures, so that his processes are agents of the session."""


@contextmanager
def bus_with_session(directory: Path) -> Iterator[tuple[str, str]]:
    """Run a bus for as long as the block lasts; gives its address, and the id of the session on it."""
    with private_bus() as bus:
        command = python("guestmux.demo.standin_logind", "--bus", bus.address)
        with running(command, environment(), directory / "logind.log", talks=True) as process:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError((directory / "logind.log").read_text())
            yield bus.address, anyio.run(_log_in, bus.address)


def another_session(address: str) -> str:
    """Log the same user in once more; gives the session's id."""
    return anyio.run(_log_in, address)


async def _log_in(address: str) -> str:
    async with connect_bus(address) as bus:
        return await StandinControl(bus).login(USER, os.getuid())
