"""An agent made with the SDK: a command, an event, streams. `python -m benchmarks.peers.agent BUS SESSION [WAY]`."""

from __future__ import annotations

import sys
import time

import anyio

from benchmarks.peers.worker import TEXT, obey
from guestmux_session import Agent, Data, Event, ServedStream, command, stream
from guestmux_transport.allocator import keep_little

ECHO = "__org.example_echo"
SOURCE = "__org.example_source"
SINK = "__org.example_sink"

TICKED = "__org.example_TICKED"

PIECE = bytes(64 * 1024)
"""What a source sends at a time: the content of one DATA frame."""


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

    @stream(SOURCE)
    async def source(self, stream: ServedStream, count: int) -> None:
        """Send so many bytes, in whole pieces."""
        await stream.accept()
        for _ in range(count // len(PIECE)):
            await stream.send(PIECE)

    @stream(SINK)
    async def sink(self, stream: ServedStream) -> None:
        """Take what comes."""
        await stream.accept()
        async for _ in stream:
            pass

    async def while_registered(self) -> None:
        """Tick when told to, and end with who tells."""
        await obey(self._tick)
        sys.exit()

    async def _tick(self, _number: int) -> None:
        await self.ticked(Tick(sent=time.monotonic_ns(), text=TEXT))


class BusTicker(Ticker):
    """Has everything go over D-Bus."""

    channel = False


class Poster(Ticker):
    """Does not wait for the numbers of its events."""

    async def _tick(self, _number: int) -> None:
        await self.post(TICKED, Tick(sent=time.monotonic_ns(), text=TEXT))


WAYS: dict[str, type[Ticker]] = {"channel": Ticker, "bus": BusTicker, "post": Poster}


def main(bus: str, session: str, way: str = "channel") -> None:
    """Run one, as Agent.main() does."""
    keep_little()
    anyio.run(WAYS[way](bus=bus, session=session).run)


if __name__ == "__main__":
    main(*sys.argv[1:])
