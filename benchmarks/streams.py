"""Bytes host ↔ eventd ↔ agent over 1, 10 and 100 streams, beside two bare hops: in Python, and with socat."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.bare_hops import FRAME_BYTES, Hops, bare_hops, send_through, socat_hops, take_through
from benchmarks.peers.bus import bus_with_session
from benchmarks.peers.mux_chain import MuxChain, mux_chain
from benchmarks.peers.sdk_orders import Transfer
from benchmarks.peers.usage import cpu_us, resident_mib

COUNTS = (1, 10, 100)

FULL_BYTES = 256 << 20
"""Of one direction in a round, by all streams together: a third of a second or so."""

LEAST_BYTES = 32 << 20
"""Of one stream in a full round, so that what is measured is not their opening: a millisecond each, of some three
seconds for a hundred."""

ONE = "1 stream"
RELAY, SOCAT = "two hops, Python", "two hops, socat"

DOWN = Measure("guest to host", "MB/s", more_is_better=True)
UP = Measure("host to guest", "MB/s", more_is_better=True)
CPU = Measure("eventd's CPU", "ms/GB")
ALL_CPU = Measure("CPU of all three", "ms/GB")
"""Of both ends and what is between them: other than the rates, it is much the same on a busy machine."""
MEMORY = Measure("eventd's memory", "MiB")


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    size = max(FULL_BYTES // 8, round(FULL_BYTES * scale.share))
    with bus_with_session(folder) as bus, mux_chain(folder, bus) as guest, ExitStack() as stack:
        sides: dict[str, Side] = {name(count): partial(_sample, guest, size, count) for count in COUNTS}
        for peer, hops in ((RELAY, bare_hops), (SOCAT, socat_hops)):
            sides[peer] = partial(_bare_sample, stack.enter_context(hops(folder)), size)
        rounds = take_turns("streams", sides, scale.rounds)
    rows = rounds.rows([DOWN, UP], ONE, RELAY, SOCAT) + rounds.rows([ALL_CPU], ONE, RELAY)
    for count in COUNTS[1:]:
        rows += rounds.rows([DOWN, UP, CPU, ALL_CPU, MEMORY], name(count), ONE)
    return rows


def name(count: int) -> str:
    """The side with so many streams."""
    return ONE if count == 1 else f"{count} streams"


def _sample(guest: MuxChain, size: int, streams: int) -> Sample:
    least = LEAST_BYTES * size // FULL_BYTES
    each = max(size // streams, least) // FRAME_BYTES * FRAME_BYTES
    pids = [process.pid for process in (guest.eventd.process, guest.agent.process, guest.host.worker.process)]
    before = [cpu_us(pid) for pid in pids]
    down = guest.host.transfer(Transfer(each, streams))
    up = guest.host.transfer(Transfer(each, streams, up=True))
    used = [_per_gb(cpu_us(pid) - begun, 2 * each * streams) for pid, begun in zip(pids, before, strict=True)]
    return {
        DOWN.name: down,
        UP.name: up,
        CPU.name: used[0],
        ALL_CPU.name: sum(used),
        MEMORY.name: resident_mib(guest.eventd.process.pid),
    }


def _bare_sample(hops: Hops, size: int) -> Sample:
    pids = (os.getpid(), *hops.pids)
    before = sum(cpu_us(pid) for pid in pids)
    down, up = _rate(take_through, hops.path, size), _rate(send_through, hops.path, size)
    used = sum(cpu_us(pid) for pid in pids) - before
    return {DOWN.name: down, UP.name: up, ALL_CPU.name: _per_gb(used, 2 * size)}


def _per_gb(used_us: float, size: int) -> float:
    return used_us / 1000 / (size / 1e9)


def _rate(move: Callable[[str, int], None], path: str, size: int) -> float:
    begun = time.perf_counter()
    move(path, size)
    return size / 1e6 / (time.perf_counter() - begun)
