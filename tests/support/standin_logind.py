"""The stand-in for logind as a process on a private bus, and a connection that tells it what happens."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from guestmux.demo.standin_logind.client import StandinControl
from guestmux_transport.bus import Bus, connect_bus


@dataclass
class StandinLogind:
    """A running stand-in.

    Attributes:
        control: tells it what happens.
        bus: a connection of the test's own to the same bus.
        pid: the stand-in's process.
    """

    control: StandinControl
    bus: Bus
    pid: int

    async def kill(self, number: signal.Signals) -> None:
        """End it by a signal, and wait until it is gone: its name is free then."""
        os.kill(self.pid, number)
        while Path(f"/proc/{self.pid}").exists():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


PROGRAM = Path(__file__).with_name("standin_logind_process.py")

MAX_LINE = 64
"""Bytes: it says "ready" and nothing else."""


async def wait_ready(process: Process) -> None:
    """Wait until a stand-in that was just started serves.

    Raises:
        EndOfStream: it ended instead; its standard error says why.
    """
    if process.stdout is None:
        raise RuntimeError("the stand-in was started without a pipe")
    line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", MAX_LINE)
    if line != b"ready":
        raise RuntimeError(f"the stand-in said {line!r}")


@asynccontextmanager
async def standin_logind(address: str, *options: str) -> AsyncIterator[StandinLogind]:
    """Run a stand-in on the bus at `address` for as long as the block lasts; it serves when the block begins."""
    command = [sys.executable, str(PROGRAM), "--bus", address, *options]
    async with await anyio.open_process(command, stdout=PIPE, stderr=None) as process:
        try:
            await wait_ready(process)
            async with connect_bus(address) as bus:
                yield StandinLogind(StandinControl(bus), bus, process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
