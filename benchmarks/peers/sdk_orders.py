"""What a host made with the SDK is told to do, and who tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.peers.worker import READY, Worker, worker


class Transfer(msgspec.Struct, frozen=True, tag=True):
    """Move so many bytes over so many streams at once.

    Attributes:
        size: bytes of each stream.
        streams: how many.
        up: to the guest, else from it.
    """

    size: int
    streams: int
    up: bool = False


class Fill(msgspec.Struct, frozen=True, tag=True):
    """From now on, send the agent of another session as many bytes as it takes."""

    session: str


class Beside(msgspec.Struct, frozen=True, tag=True):
    """Measure round trips while streams run.

    Attributes:
        pings: to eventd, one at a time.
        calls: to the agent, one at a time.
        events: how many are going to come.
        streams: that run from the guest at full speed meanwhile.
        stalled: that nobody reads.
    """

    pings: int = 0
    calls: int = 0
    events: int = 0
    streams: int = 0
    stalled: int = 0

    def replace(self, *, pings: int = 0, calls: int = 0, events: int = 0) -> Beside:
        """The same with something to measure."""
        return msgspec.structs.replace(self, pings=pings, calls=calls, events=events)


class Done(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        seconds: that all of it took.
        pings_us: each ping.
        calls_us: each call.
        events_us: each event, from the agent's `emit` to here.
        last_event: when the last one came, on the monotonic clock, in nanoseconds.
    """

    seconds: float
    pings_us: list[float] = []
    calls_us: list[float] = []
    events_us: list[float] = []
    last_event: int = 0


class SdkHost:
    """A running host.

    Attributes:
        worker: its process.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def transfer(self, order: Transfer) -> float:
        """Move bytes; gives MB/s, of all streams together."""
        return order.size * order.streams / 1e6 / self._run(order).seconds

    def beside(self, order: Beside) -> Done:
        """Measure what needs nobody else."""
        return self._run(order)

    def fill(self, session: str) -> None:
        """Have an agent sent as much as it takes; returns when it was asked."""
        self._run(Fill(session))

    def listen(self, order: Beside) -> None:
        """Measure events: returns when they may come."""
        self.worker.tell(order)
        if self.worker.line() != READY:
            raise RuntimeError("the host does not listen")

    def heard(self) -> Done:
        """Wait for the events."""
        return msgspec.json.decode(self.worker.line(), type=Done)

    def _run(self, order: Transfer | Beside | Fill) -> Done:
        self.worker.tell(order)
        return self.heard()


@contextmanager
def sdk_host(folder: Path, qmp: str, session: str) -> Iterator[SdkHost]:
    """Run one.

    Args:
        folder: where its log is.
        qmp: the path of eventd's qmp port.
        session: where the agent is.
    """
    with worker(folder, "benchmarks.peers.sdk_host", qmp, session) as process:
        yield SdkHost(process)
