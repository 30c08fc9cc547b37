"""An agent made with the SDK: one command, one event. `python -m benchmarks.peers.agent ADDRESS SESSION`."""

from __future__ import annotations

import sys
import time

import anyio

from benchmarks.peers.worker import TEXT, obey
from guestmux_session import Agent, Data, Event, command

ECHO = "__org.example_echo"

TICKED = "__org.example_TICKED"


class Tick(Data, frozen=True):
    """It ticked."""

    sent: int
    text: str


class Ticker(Agent):
    """Echoes, and ticks when told to."""

    name = "org.example.ticker"
    version = "1"
    ticked = Event(TICKED, Tick)

    @command(ECHO)
    async def echo(self, text: str) -> str:
        """Give the text back."""
        return text

    async def while_registered(self) -> None:
        """Tick when told to, and end with who tells."""
        await obey(self._tick)
        sys.exit()

    async def _tick(self, _number: int) -> None:
        await self.ticked(Tick(sent=time.monotonic_ns(), text=TEXT))


if __name__ == "__main__":
    anyio.run(Ticker(bus=sys.argv[1], session=sys.argv[2]).run)
