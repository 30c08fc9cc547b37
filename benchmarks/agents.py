"""The chain with 10 and 100 registered agents, beside the chain with one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.chain import Chain, chain
from benchmarks.peers.usage import resident_mib
from benchmarks.peers.worker import WINDOW, Order, worker

COUNTS = (10, 100) if os.getuid() == 0 else (10,)
"""How many are registered; eventd takes 16 of one user who is not root."""

CALLS = 400
EVENTS = 1000

MEASURES = [
    Measure("call p50", "µs"),
    Measure(f"events, {WINDOW} at once", "/s", more_is_better=True),
    Measure("eventd's memory", "MiB"),
]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        for count in (1, *COUNTS):
            guest = stack.enter_context(_guest(folder / f"agents-{count}", count))
            sides[_name(count)] = partial(_sample, guest, scale)
        rounds = take_turns("agents", sides, scale.rounds)
    return [row for count in COUNTS for row in rounds.rows(MEASURES, _name(count), _name(1))]


def _name(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"


@contextmanager
def _guest(folder: Path, count: int) -> Iterator[Chain]:
    """A chain whose agent is one of `count`."""
    folder.mkdir()
    with (
        bus_with_session(folder) as bus,
        chain(folder, bus) as guest,
        worker(folder, "benchmarks.peers.crowd", *bus, str(count - 1)),
    ):
        yield guest


def _sample(guest: Chain, scale: Scale) -> Sample:
    calls = guest.calls(scale.count(CALLS))
    events = guest.events(Order(scale.count(EVENTS), WINDOW))
    values = (calls["p50"], events["rate"], resident_mib(guest.eventd.process.pid))
    return {measure.name: value for measure, value in zip(MEASURES, values, strict=True)}
