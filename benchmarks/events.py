"""agent → eventd → host: events a second and their latency, beside the plain D-Bus round trip of the same library."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.chain import Chain, chain
from benchmarks.peers.libraries import libraries
from benchmarks.peers.plain_pair import KINDS, plain_caller
from benchmarks.peers.worker import WINDOW, Order, Worker

EVENTS = {"dbus-fast": 2000, "dbus-next": 400}
"""Events in a round: some half a second with either library."""

RATE = Measure(f"events / calls, {WINDOW} at once", "/s", more_is_better=True)
P50 = Measure("emit to host / call p50", "µs")
P99 = Measure("emit to host / call p99", "µs")


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    return [row for library in libraries() for row in _rows(folder, scale, library)]


def _rows(folder: Path, scale: Scale, library: str) -> list[Row]:
    count = scale.count(EVENTS[library])
    names = {kind: f"D-Bus, {kind} {library}" for kind in KINDS}
    ours = f"chain, {library}"
    with bus_with_session(folder) as bus, chain(folder, bus, library) as guest, ExitStack() as stack:
        sides: dict[str, Side] = {ours: partial(_chain_sample, guest, count)}
        for kind, name in names.items():
            caller = stack.enter_context(plain_caller(folder, bus[0], kind, "emit", library))
            sides[name] = partial(_plain_sample, caller, count)
        rounds = take_turns("events", sides, scale.rounds)
    return rounds.rows([RATE, P50, P99], ours, names["adapter"]) + rounds.rows([RATE], ours, names["bare"])


def _chain_sample(guest: Chain, count: int) -> Sample:
    return _named(guest.events(Order(count, WINDOW)), guest.events(Order(count // 4)))


def _plain_sample(caller: Worker, count: int) -> Sample:
    return _named(caller.run(Order(count, WINDOW)).sample(), caller.run(Order(count // 4)).sample())


def _named(together: Sample, alone: Sample) -> Sample:
    return {RATE.name: together["rate"], P50.name: alone["p50"], P99.name: alone["p99"]}
