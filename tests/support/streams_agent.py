"""An agent with every kind of stream, for the SDK's tests."""

from __future__ import annotations

from typing import Any

import anyio

from guestmux_session import Agent, CommandError, Data, ServedStream, command, stream


class Opened(Data, frozen=True):
    """What a stream answers when it is open."""

    size: int


class Streams(Agent):
    """Its streams do what their names say; `gate` holds those that wait, `cancelled` tells that one was cancelled."""

    name = "org.example.streams"
    version = "1.0"
    max_streams = 3

    def __init__(self, *, bus: str) -> None:
        super().__init__(bus=bus)
        self.entered = anyio.Event()
        self.gate = anyio.Event()
        self.cancelled = anyio.Event()
        self.seen: list[str] = []

    @command("__org.example_plain")
    async def plain(self) -> int:
        """Be no stream."""
        return 1

    @stream("__org.example_echo")
    async def echo(self, stream: ServedStream, limit: int = -1) -> dict[str, int]:
        """Give back what comes, so many pieces at most; tell how many bytes that were."""
        await stream.accept()
        count = 0
        async for data in stream:
            count += len(data)
            await stream.send(data)
            limit -= 1
            if not limit:
                break
        return {"bytes": count}

    @stream("__org.example_give", reply=Opened)
    async def give(self, stream: ServedStream, size: int) -> None:
        """Give so many bytes."""
        await stream.accept(Opened(size=size))
        await stream.send(b"x" * size)

    @stream("__org.example_wait")
    async def wait(self, stream: ServedStream, before: bool = False) -> str:
        """Wait for the gate, before or after it is open."""
        if not before:
            await stream.accept()
        self.entered.set()
        self.seen += [repr(stream), stream.port]
        try:
            await self.gate.wait()
        except BaseException:
            self.cancelled.set()
            raise
        if before:
            await stream.accept()
        return "opened"

    @stream("__org.example_fill")
    async def fill(self, stream: ServedStream) -> None:
        """Send for ever."""
        await stream.accept()
        self.entered.set()
        try:
            while True:
                await stream.send(b"x" * 100_000)
        except BaseException:
            self.cancelled.set()
            raise

    @stream("__org.example_fail")
    async def fail(self, stream: ServedStream, text: str, when: str) -> None:
        """Fail as meant: before, after, or late, when our side is closed."""
        if when == "before":
            raise CommandError(text)
        await stream.accept()
        await stream.send(b"some")
        if when == "late":
            await stream.send_eof()
        raise CommandError(text)

    @stream("__org.example_crash")
    async def crash(self, stream: ServedStream) -> None:
        """Fail as not meant."""
        await stream.accept()
        raise RuntimeError("secret detail")

    @stream("__org.example_half")
    async def half(self, stream: ServedStream) -> None:
        """Say everything first, then hear everything."""
        await stream.accept()
        await stream.send(b"all")
        await stream.send_eof({"said": 3})
        await stream.send_eof({"said": 4})
        self.seen += [data.decode() async for data in stream]

    @stream("__org.example_wrong", reply=Opened)
    async def wrong(self, stream: ServedStream, how: str) -> Any:
        """Use it wrongly."""
        if how == "send first":
            await stream.send(b"x")
        if how == "receive first":
            await stream.receive()
        if how == "eof first":
            await stream.send_eof()
        if how == "no accept":
            return None
        if how == "wrong reply":
            await stream.accept("text")
        await stream.accept(Opened(size=1))
        if how == "twice":
            await stream.accept(Opened(size=1))
        if how == "send after eof":
            await stream.send_eof()
            await stream.send(b"x")
        if how == "two results":
            await stream.send_eof(1)
            return 2
        return object()
