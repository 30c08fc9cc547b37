"""`python -m tests.chaos.bare_process NAME BUS SESSION LOG`: an agent of bare D-Bus calls; see agent_process.py."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

import anyio

from guestmux_transport.bus import connect_bus
from guestmux_transport.errors import BusError
from tests.chaos.records import TICK
from tests.support.bare_agent import LIMITS, BareAgent

PAUSE = 0.005
"""Seconds between events: with bare calls it is not speed that counts."""

RETRY = 0.1


async def live(agent: BareAgent, name: str, session: str, log: IO[str]) -> None:
    """Register and emit until something fails."""
    await agent.register(name, session=("s", session), events=("as", [TICK]))
    life, n = f"{os.getpid()}.{time.time_ns()}", 0
    log.write(f"life {life}\n")
    while True:
        n += 1
        log.write(f"upto {life} {n}\n")
        seq = await agent.emit(TICK, life=life, n=n)
        log.write(f"took {life} {n} {seq}\n")
        await anyio.sleep(PAUSE)


async def run(name: str, bus: str, session: str, log: IO[str]) -> None:
    """Run until killed."""
    while True:
        try:
            async with connect_bus(bus, limits=LIMITS) as connection:
                await live(BareAgent(connection), name, session, log)
        except* BusError:
            await anyio.sleep(RETRY)


def main(name: str, bus: str, session: str, log: str) -> None:
    """Run until killed."""
    with Path(log).open("a", buffering=1) as lines:
        anyio.run(run, name, bus, session, lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
