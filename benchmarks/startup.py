"""From the start of the process to its first answered ping, beside qemu-ga; the byte code is there, as installed."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers import eventd, qemu_ga
from benchmarks.peers.libraries import libraries
from benchmarks.peers.pair import PING
from benchmarks.peers.raw_client import connect
from tests.support.dbus_daemon import private_bus

MEASURES = [Measure("first answered ping", "ms")]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    ours = {library: f"{eventd.NAME}, {library}" for library in libraries()}
    with private_bus() as bus:
        sides: dict[str, Side] = {
            name: partial(_eventd_sample, folder, bus.address, library) for library, name in ours.items()
        }
        sides[qemu_ga.NAME] = partial(_qemu_ga_sample, folder)
        rounds = take_turns("startup", sides, scale.few())
    return [row for name in ours.values() for row in rounds.rows(MEASURES, name, qemu_ga.NAME)]


def _eventd_sample(folder: Path, bus: str, library: str) -> Sample:
    begun = time.perf_counter()
    with eventd.starting_eventd(folder, bus, library=library) as daemon:
        return _sample(begun, daemon.qga)


def _qemu_ga_sample(folder: Path) -> Sample:
    begun = time.perf_counter()
    with qemu_ga.qemu_ga(folder) as (_, path):
        return _sample(begun, path)


def _sample(begun: float, path: str) -> Sample:
    host = connect(path)
    host.ask(PING)
    taken = time.perf_counter() - begun
    host.close()
    return {"first answered ping": taken * 1000}
