"""Pings that do not wait for one another, beside qemu-ga, and the processor time that one costs the guest."""

from __future__ import annotations

from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, take_turns
from benchmarks.peers import eventd, qemu_ga
from benchmarks.peers.pair import PING, Served, pair
from benchmarks.peers.raw_client import BATCH
from benchmarks.peers.usage import usage

PINGS = 40_000

MEASURES = [Measure("pings", "/s", more_is_better=True), Measure("CPU of a ping", "µs")]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with pair(folder) as (ours, theirs):
        sides = {eventd.NAME: lambda: _sample(ours, scale), qemu_ga.NAME: lambda: _sample(theirs, scale)}
        rounds = take_turns("pipeline", sides, scale.rounds)
    return rounds.rows(MEASURES, eventd.NAME, qemu_ga.NAME)


def _sample(side: Served, scale: Scale) -> Sample:
    batches = scale.count(PINGS) // BATCH
    before = usage(side.process.pid)
    seconds = side.host.pipelined(PING, batches)
    used = usage(side.process.pid) - before
    return {"pings": batches * BATCH / seconds, "CPU of a ping": used.cpu_us / (batches * BATCH)}
