"""A process that measures when told to, and the run of calls that it measures."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import IO

import anyio
import msgspec
from anyio import to_thread

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Sample
from benchmarks.peers.processes import environment, python, running

READY = "ready"

MESSAGE_SIZE = 100
"""Characters of text in each call, reply and event."""

TEXT = "x" * MESSAGE_SIZE

WINDOW = 8
"""Calls under way when pipelining: the most that the adapter has open to one destination."""


class Order(msgspec.Struct, frozen=True):
    """What to do: so many calls, so many of them under way at a time."""

    count: int
    window: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        begun: when, on the monotonic clock that all processes share, in nanoseconds.
        ended: when the last call had its answer.
        latencies_us: what each call took.
    """

    begun: int
    ended: int
    latencies_us: list[float]

    def sample(self) -> Sample:
        """The figures."""
        rate = len(self.latencies_us) / (self.ended - self.begun) * 1e9
        return {
            "p50": percentile(self.latencies_us, 50),
            "p99": percentile(self.latencies_us, 99),
            "rate": rate,
        }


Call = Callable[[int], Awaitable[object]]
"""Makes one call; takes its number."""


async def run_calls(order: Order, call: Call) -> Outcome:
    """Make the calls of an order."""
    numbers, latencies = iter(range(order.count)), [0.0] * order.count

    async def caller() -> None:
        for number in numbers:
            begun = time.perf_counter_ns()
            await call(number)
            latencies[number] = (time.perf_counter_ns() - begun) / 1000

    begun = time.monotonic_ns()
    async with anyio.create_task_group() as callers:
        for _ in range(order.window):
            callers.start_soon(caller)
    return Outcome(begun, time.monotonic_ns(), latencies)


async def obey(call: Call) -> None:
    """Carry out the orders on standard input, until it ends."""
    print(READY, flush=True)
    while line := await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        outcome = await run_calls(msgspec.json.decode(line, type=Order), call)
        # Long, and not read before the last event came, which may be still to be sent.
        await to_thread.run_sync(partial(print, msgspec.json.encode(outcome).decode(), flush=True))


class Worker:
    """A process that obeys.

    Attributes:
        process: the process.
    """

    def __init__(self, process: Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self._stdin, self._stdout = _pipes(process)
        if self.line() != READY:
            raise RuntimeError(f"{log.name} is not ready")

    def begin(self, order: Order) -> None:
        """Have an order carried out."""
        self.tell(order)

    def outcome(self) -> Outcome:
        """Wait for the outcome of the order that was begun."""
        return msgspec.json.decode(self.line(), type=Outcome)

    def run(self, order: Order) -> Outcome:
        """Have an order carried out, and wait for it."""
        self.begin(order)
        return self.outcome()

    def tell(self, order: msgspec.Struct) -> None:
        """Send a line with an order of the process's own kind."""
        self._stdin.write(msgspec.json.encode(order).decode() + "\n")
        self._stdin.flush()

    def line(self) -> str:
        """What it says next.

        Raises:
            RuntimeError: it ended instead.
        """
        line = self._stdout.readline().strip()
        if not line:
            raise RuntimeError(f"a process ended: {self._log.read_text()}")
        return line


@contextmanager
def worker(directory: Path, module: str, *arguments: str, library: str = "") -> Iterator[Worker]:
    """Run one of the modules that obey, for as long as the block lasts.

    Args:
        directory: where its log is.
        module: as `benchmarks.peers.agent`.
        arguments: its command line.
        library: its D-Bus library; empty for the default.
    """
    log = directory / f"{module}.log"
    with running(python(module, *arguments), environment(library), log, talks=True) as process:
        yield Worker(process, log)


def _pipes(process: Popen[str]) -> tuple[IO[str], IO[str]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    return process.stdin, process.stdout
