"""`python -m tests.chaos.agent_process NAME BUS SESSION RATE LOG`: an agent that emits as fast as it is told.

What it is about to emit is in its log before it emits it. The log has lines of three kinds:

    life LIFE               a new registration; the numbers of its events begin at 1
    upto LIFE N             no event of that life with a higher number has been emitted
    took LIFE N SEQ         eventd answered that event N is SEQ in the journal
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio

from guestmux_session import Agent, AgentError, Data, Event
from guestmux_session.backoff import Backoff
from guestmux_session.keep_connected import keep_connected
from tests.chaos.records import TICK

BLOCKS = 50
"""Blocks of events a second."""

MAX_BEHIND = 2.0
"""Seconds for which it makes up when nobody took its events: longer would be a queue of what no machine takes."""

MAX_WAIT = 0.5
"""Seconds between attempts to reach the bus."""


class Tick(Data, frozen=True):
    """Something happened."""

    life: str
    n: int


class Emitter(Agent):
    name = ""
    version = "1"
    ticked = Event(TICK, Tick)

    def __init__(self, bus: str, session: str, rate: int, log: Path) -> None:
        super().__init__(bus=bus, session=session)
        self._rate = rate
        self._log = log.open("a", buffering=1)
        self._lives = 0
        self._due = time.monotonic()

    async def run(self) -> None:
        # As Agent.run, but that it comes back soon where bus and eventd die every few seconds.
        backoff = Backoff(longest=MAX_WAIT)
        await keep_connected(self._address, self._core.live, news=self._news, backoff=backoff)

    async def while_registered(self) -> None:
        while True:
            try:
                await self._live()
            except AgentError:
                await anyio.sleep(0.1)

    async def _live(self) -> None:
        self._lives += 1
        life, size, n = f"{os.getpid()}.{time.time_ns()}.{self._lives}", max(self._rate // BLOCKS, 1), 0
        self._log.write(f"life {life}\n")
        while True:
            self._log.write(f"upto {life} {n + size}\n")
            for _ in range(size - 1):
                n += 1
                await self.post(TICK, Tick(life=life, n=n))
            n += 1
            self._log.write(f"took {life} {n} {await self.ticked(Tick(life=life, n=n))}\n")
            now = time.monotonic()
            self._due = max(self._due + 1 / BLOCKS, now - MAX_BEHIND)
            await anyio.sleep(max(self._due - now, 0))


def main(name: str, bus: str, session: str, rate: str, log: str) -> None:
    """Run until killed."""
    Emitter.name = name
    Emitter(bus, session, int(rate), Path(log)).main()


if __name__ == "__main__":
    main(*sys.argv[1:])
