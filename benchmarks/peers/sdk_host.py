"""A host made with the SDK, on the mux dialect. `python -m benchmarks.peers.sdk_host SOCKET SESSION`."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import TaskGroup

from benchmarks.peers.agent import ECHO, PIECE, SINK, SOURCE, TICKED
from benchmarks.peers.sdk_orders import Beside, Done, Fill, Transfer
from benchmarks.peers.worker import READY, TEXT
from guestmux import Event, Guest, Item, connect
from guestmux.guest_stream import GuestStream
from guestmux_transport.allocator import keep_little

ENDLESS = 1 << 50
"""Bytes of a stream that runs until what is measured beside it is done."""

REGISTRATION = 10.0
"""Seconds that an agent may take to offer its streams."""

SETTLE = 0.1
"""Seconds that streams run before anything is measured beside them."""


class Host:
    """Carries out what it is told.

    Args:
        guest: the connection.
        session: where the agent is.
        tasks: for what goes on after an order.
    """

    def __init__(self, guest: Guest, session: str, tasks: TaskGroup) -> None:
        self._guest = guest
        self._tasks = tasks
        self._session = session

    async def obey(self, order: Transfer | Beside | Fill) -> Done:
        """Do it."""
        begun = time.perf_counter()
        if isinstance(order, Fill):
            stream = await self._guest.stream(SINK, session=order.session, wait=REGISTRATION)
            self._tasks.start_soon(self._fill, stream)
            return Done(time.perf_counter() - begun)
        if isinstance(order, Beside):
            return await self._measure_beside(order)
        move = self._push if order.up else self._pull
        async with anyio.create_task_group() as tasks:
            for _ in range(order.streams):
                tasks.start_soon(move, order.size)
        return Done(time.perf_counter() - begun)

    async def _pull(self, size: int) -> None:
        stream = await self._guest.stream(SOURCE, session=self._session, count=size)
        async with stream:
            async for data in stream:
                size -= len(data)
        if size:
            raise RuntimeError(f"{size} bytes of a stream did not come")

    async def _push(self, size: int) -> None:
        async with await self._guest.stream(SINK, session=self._session) as stream:
            for _ in range(size // len(PIECE)):
                await stream.send(PIECE)
            await stream.send_eof()
            await stream.result()

    async def _measure_beside(self, order: Beside) -> Done:
        begun = time.perf_counter()
        async with anyio.create_task_group() as streams:
            stalled = [await self._stall() for _ in range(order.stalled)]
            for _ in range(order.streams):
                streams.start_soon(self._pull, ENDLESS)
            await anyio.sleep(SETTLE)
            done = await self._measure(order)
            for stream in stalled:
                await stream.aclose()
            streams.cancel_scope.cancel()
        return msgspec.structs.replace(done, seconds=time.perf_counter() - begun)

    async def _stall(self) -> GuestStream:
        return await self._guest.stream(SOURCE, session=self._session, count=ENDLESS)

    async def _fill(self, stream: GuestStream) -> None:
        async with stream:
            while True:
                await stream.send(PIECE)

    async def _measure(self, order: Beside) -> Done:
        pings = await _timed(self._guest.ping, order.pings)
        calls = await _timed(self._call, order.calls)
        events, last = await self._hear(order.events) if order.events else ([], 0)
        return Done(0.0, pings, calls, events, last)

    async def _call(self) -> None:
        await self._guest.call(ECHO, session=self._session, text=TEXT)

    async def _hear(self, count: int) -> tuple[list[float], int]:
        taken = []
        async with self._guest.events(TICKED) as events:
            print(READY, flush=True)
            async for item in events:
                arrived = time.monotonic_ns()
                taken.append((arrived - _event(item).data["sent"]) / 1000)
                if len(taken) == count:
                    return taken, arrived
        raise RuntimeError("the stream of events ended")


def _event(item: Item) -> Event:
    match item:
        case Event():
            return item
    raise RuntimeError(f"events were lost: {item}")


async def _timed(ask: Callable[[], Awaitable[object]], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        begun = time.perf_counter_ns()
        await ask()
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


async def _run(path: str, session: str) -> None:
    async with connect(f"unix:{path}", reconnect=False) as guest, anyio.create_task_group() as tasks:
        if guest.dialect != "mux":
            raise RuntimeError(f"the port speaks {guest.dialect}, not mux")
        host = Host(guest, session, tasks)
        print(READY, flush=True)
        while line := await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            done = await host.obey(msgspec.json.decode(line, type=Transfer | Beside | Fill))
            print(msgspec.json.encode(done).decode(), flush=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    keep_little()  # as the command line does
    anyio.run(_run, sys.argv[1], sys.argv[2])
