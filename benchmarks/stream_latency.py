"""Pings, calls and events while streams run at full speed, or stand still, beside the same with none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bus import another_session, bus_with_session
from benchmarks.peers.mux_chain import MuxChain, mux_chain
from benchmarks.peers.processes import stopped
from benchmarks.peers.sdk_orders import Beside
from benchmarks.peers.worker import Order, worker

PINGS = 1000
EVENTS = 300

IDLE = "no streams"
STOPPED = "another agent is stopped"

WHAT = ("ping", "call", "event")
MEASURES = [Measure(f"{what} {rank}", "µs") for what in WHAT for rank in ("p50", "p99")]

COUNTS = (1, 10, 100)


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with ExitStack() as stack:
        guest = stack.enter_context(_guest(folder / "all-run"))
        loads = {IDLE: Beside()}
        loads |= {f"{count} streams" if count > 1 else "1 stream": Beside(streams=count) for count in COUNTS}
        loads |= {"10 streams nobody reads": Beside(stalled=10)}
        sides: dict[str, Side] = {name: partial(_sample, guest, load, scale) for name, load in loads.items()}
        sides[STOPPED] = partial(
            _sample, stack.enter_context(_guest_with_stopped_agent(folder / "stopped")), Beside(), scale
        )
        rounds = take_turns("stream-latency", sides, scale.rounds)
    return [row for name in list(sides)[1:] for row in rounds.rows(MEASURES, name, IDLE)]


@contextmanager
def _guest(folder: Path) -> Iterator[MuxChain]:
    folder.mkdir()
    with bus_with_session(folder) as bus, mux_chain(folder, bus) as guest:
        yield guest


@contextmanager
def _guest_with_stopped_agent(folder: Path) -> Iterator[MuxChain]:
    """A chain beside whose agent another one stands still, while the host sends it what it takes."""
    folder.mkdir()
    with bus_with_session(folder) as bus, mux_chain(folder, bus) as guest:
        session = another_session(bus[0])
        with worker(folder, "benchmarks.peers.agent", bus[0], session) as agent:
            guest.host.fill(session)
            with stopped(agent.process):
                yield guest


def _sample(guest: MuxChain, load: Beside, scale: Scale) -> Sample:
    count, events = scale.count(PINGS), scale.count(EVENTS)
    round_trips = guest.host.beside(load.replace(pings=count, calls=count))
    guest.host.listen(load.replace(events=events))
    guest.agent.run(Order(events))
    heard = guest.host.heard()
    taken = (round_trips.pings_us, round_trips.calls_us, heard.events_us)
    values = [percentile(each, rank) for each in taken for rank in (50, 99)]
    return {measure.name: value for measure, value in zip(MEASURES, values, strict=True)}
