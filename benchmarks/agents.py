"""1, 10, 100 and 1,000 agents beside the one that is called: what each costs, and whether it is called as fast."""

from __future__ import annotations

import os
import statistics
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.chain import chain
from benchmarks.peers.usage import resident_mib, usage
from benchmarks.peers.worker import WINDOW, Order, worker

COUNTS = (1, 10, 100, 1000) if os.getuid() == 0 else (1, 10)
"""How many are registered; eventd takes 16 of one user who is not root."""

CALLS = 400
EVENTS = 1000

WAYS = {"bus": "", "channel": ", with channels"}

REGISTRATION = Measure("registration p50", "ms")
CPU = Measure("eventd's CPU of one", "ms")
EACH = Measure("eventd's memory of one", "KB")
MEASURES = [
    Measure("call p50", "µs"),
    Measure(f"events, {WINDOW} at once", "/s", more_is_better=True),
    Measure("eventd's memory", "MiB"),
]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    sides: dict[str, Side] = {
        name(count, way): partial(_sample, folder, scale, count, way) for way in WAYS for count in COUNTS
    }
    rounds = take_turns("agents", sides, scale.few(), warm_up=False)
    rows = []
    for way in WAYS:
        for count in COUNTS[1:]:
            measures = [REGISTRATION, CPU, EACH, *MEASURES]
            rows += rounds.rows(measures, name(count, way), name(COUNTS[0], way))
    return rows


def name(count: int, way: str) -> str:
    """The side with so many."""
    return f"{count:,} agent{'s' * (count > 1)}{WAYS[way]}"


def _sample(folder: Path, scale: Scale, count: int, way: str) -> Sample:
    place = Path(mkdtemp(dir=folder))
    with ExitStack() as stack:
        bus = stack.enter_context(bus_with_session(place))
        guest = stack.enter_context(chain(place, bus, way=way))
        crowd = stack.enter_context(worker(place, "benchmarks.peers.crowd", *bus, str(count), way))
        pid = guest.eventd.process.pid
        guest.calls(scale.count(CALLS))
        memory, used = resident_mib(pid), usage(pid)
        taken = crowd.run(Order(count)).latencies_us
        memory, used = resident_mib(pid) - memory, usage(pid) - used
        calls = guest.calls(scale.count(CALLS))
        events = guest.events(Order(scale.count(EVENTS), WINDOW))
        values = (calls["p50"], events["rate"], resident_mib(pid))
    return {
        REGISTRATION.name: statistics.median(taken) / 1000,
        CPU.name: used.cpu_us / 1000 / count,
        EACH.name: memory * 1024 * 1.024 / count,
        **{measure.name: value for measure, value in zip(MEASURES, values, strict=True)},
    }
