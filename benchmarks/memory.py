"""Resident memory at rest and after a load, beside qemu-ga."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers import eventd, qemu_ga
from benchmarks.peers.libraries import libraries
from benchmarks.peers.pair import PING
from benchmarks.peers.raw_client import BATCH, connect
from benchmarks.peers.usage import resident_mib
from tests.support.dbus_daemon import private_bus

PINGS = 20_000
INFOS = 200

LARGE = b'{"execute":"guest-ping","arguments":{"x":"' + b"x" * (1 << 20) + b'"}}\n'
"""It is refused, but has to be kept until it is whole."""

MEASURES = [Measure("at rest", "MiB"), Measure("after a load", "MiB")]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    ours = {library: f"{eventd.NAME}, {library}" for library in libraries()}
    with private_bus() as bus:
        sides: dict[str, Side] = {
            name: partial(_eventd_sample, folder, bus.address, library) for library, name in ours.items()
        }
        sides[qemu_ga.NAME] = partial(_qemu_ga_sample, folder)
        rounds = take_turns("memory", sides, scale.few(), warm_up=False)
    return [row for name in ours.values() for row in rounds.rows(MEASURES, name, qemu_ga.NAME)]


def _eventd_sample(folder: Path, bus: str, library: str) -> Sample:
    with eventd.eventd(folder, bus, library) as daemon:
        return _sample(daemon.process.pid, daemon.qga)


def _qemu_ga_sample(folder: Path) -> Sample:
    with qemu_ga.qemu_ga(folder) as (process, path):
        return _sample(process.pid, path)


def _sample(pid: int, path: str) -> Sample:
    host = connect(path)
    host.ask(PING)
    at_rest = resident_mib(pid)
    host.pipelined(PING, PINGS // BATCH)
    host.latencies_us(b'{"execute":"guest-info"}\n', INFOS)
    host.ask(LARGE)
    host.close()
    return {"at rest": at_rest, "after a load": resident_mib(pid)}
