"""The chain: an agent made with the SDK, eventd, and a host that has negotiated on the qmp port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Sample
from benchmarks.peers.agent import ECHO, TICKED
from benchmarks.peers.eventd import Eventd, eventd
from benchmarks.peers.raw_client import RawClient, connect
from benchmarks.peers.worker import TEXT, Order, Worker, worker


class _Tick(msgspec.Struct):
    sent: int


class _TickEvent(msgspec.Struct):
    event: str
    data: _Tick


class Chain:
    """A running chain.

    Attributes:
        eventd: the daemon.
        host: the host's connection.
    """

    def __init__(self, eventd: Eventd, agent: Worker, host: RawClient, session: str) -> None:
        self.eventd = eventd
        self.host = host
        self._agent = agent
        self._call, self._concurrent = call_line(session), call_line(session, "exec-oob")

    def calls(self, count: int) -> Sample:
        """Call the agent's command, one call at a time."""
        self._check_echo(self._call)
        latencies = self.host.latencies_us(self._call, count)
        return {"p50": percentile(latencies, 50), "p99": percentile(latencies, 99)}

    def calls_at_once(self, order: Order) -> Sample:
        """Call with several calls under way."""
        return {"rate": order.count / self.host.kept_under_way(self._concurrent, order.count, order.window)}

    def events(self, order: Order) -> Sample:
        """Have the agent emit, and wait for the last event: from the first `emit` to the host's last byte."""
        self._agent.begin(order)
        arrivals = list(self.host.arrivals(order.count))
        outcome = self._agent.outcome()
        latencies = _latencies_us(arrivals)
        if len(latencies) != order.count:
            raise RuntimeError(f"{order.count} events were emitted, {len(latencies)} came")
        seconds = (arrivals[-1][0] - outcome.begun) / 1e9
        return {
            "rate": order.count / seconds,
            "p50": percentile(latencies, 50),
            "p99": percentile(latencies, 99),
        }

    def _check_echo(self, request: bytes) -> None:
        reply = json.loads(self.host.ask(request))
        if reply.get("return") != TEXT:
            raise RuntimeError(f"the agent did not echo: {reply}")


def call_line(session: str, key: str = "execute") -> bytes:
    """A call of the agent's command, as a host on the qmp port writes it."""
    arguments = {"text": TEXT, "session": session}
    return json.dumps({key: ECHO, "arguments": arguments, "id": 1}).encode() + b"\n"


def _latencies_us(arrivals: list[tuple[int, bytes]]) -> list[float]:
    """What each event took from the agent's `emit` to the host's read."""
    latencies, rest = [], b""
    for arrived, data in arrivals:
        *lines, rest = (rest + data).split(b"\n")
        ticks = (msgspec.json.decode(line, type=_TickEvent) for line in lines)
        latencies += [(arrived - tick.data.sent) / 1000 for tick in ticks if tick.event == TICKED]
    return latencies


@contextmanager
def chain(directory: Path, bus: tuple[str, str], library: str = "", way: str = "bus") -> Iterator[Chain]:
    """Run one.

    Args:
        directory: for sockets and logs.
        bus: the address of the bus, and the session that the agent is in.
        library: the D-Bus library of eventd and agent; empty for the default.
        way: the agent's way to eventd; see `benchmarks.peers.agent`.
    """
    address, session = bus
    with eventd(directory, address, library) as daemon:
        host = connect(daemon.qmp)
        with worker(directory, "benchmarks.peers.agent", address, session, way, library=library) as agent:
            host.read_line()
            host.execute("qmp_capabilities", enable=["oob"])
            host.execute("guest-event-subscribe", events=[TICKED])
            yield Chain(daemon, agent, host, session)
            host.close()
