"""One request at a time on the qga port, beside qemu-ga: ping, sync, info."""

from __future__ import annotations

from pathlib import Path

from benchmarks.core.figures import percentile
from benchmarks.core.rounds import Measure, Row, Sample, Scale, take_turns
from benchmarks.peers import eventd, qemu_ga
from benchmarks.peers.pair import pair
from benchmarks.peers.raw_client import RawClient

PINGS = 2000
SYNCS = 1000
INFOS = 300

MEASURES = [
    Measure("guest-ping p50", "µs"),
    Measure("guest-ping p99", "µs"),
    Measure("guest-sync p50", "µs"),
    Measure("guest-info p50", "µs"),
]


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    with pair(folder) as (ours, theirs):
        sides = {
            eventd.NAME: lambda: _sample(ours.host, scale),
            qemu_ga.NAME: lambda: _sample(theirs.host, scale),
        }
        rounds = take_turns("latency", sides, scale.rounds)
    return rounds.rows(MEASURES, eventd.NAME, qemu_ga.NAME)


def _sample(host: RawClient, scale: Scale) -> Sample:
    pings = host.latencies_us(b'{"execute":"guest-ping"}\n', scale.count(PINGS))
    syncs = host.latencies_us(b'{"execute":"guest-sync","arguments":{"id":123456}}\n', scale.count(SYNCS))
    infos = host.latencies_us(b'{"execute":"guest-info"}\n', scale.count(INFOS))
    return {
        "guest-ping p50": percentile(pings, 50),
        "guest-ping p99": percentile(pings, 99),
        "guest-sync p50": percentile(syncs, 50),
        "guest-info p50": percentile(infos, 50),
    }
