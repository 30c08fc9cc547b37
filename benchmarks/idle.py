"""What doing nothing costs, beside qemu-ga: without a host, with one, and with hosts that do not read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers import eventd, qemu_ga
from benchmarks.peers.pair import PING, Served, pair
from benchmarks.peers.usage import usage

UNREAD = PING * 1000
"""What a host that does not read asks, again and again until nobody takes it."""

SETTLE = 0.3
"""Seconds that both have to come to rest after the host's doing."""

ROUNDS = 2


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    return [row for state, host in STATES.items() for row in _rows(folder, scale, state, host)]


def _rows(folder: Path, scale: Scale, state: str, host: Callable[[Served], None]) -> list[Row]:
    measures = [Measure(f"{state}: CPU", "ms/s"), Measure(f"{state}: wake-ups", "/s")]
    with pair(folder) as (ours, theirs):
        host(ours)
        host(theirs)
        time.sleep(SETTLE)
        sides: dict[str, Side] = {
            name: partial(_sample, measures, side.process.pid, scale.seconds)
            for name, side in ((eventd.NAME, ours), (qemu_ga.NAME, theirs))
        }
        rounds = take_turns("idle", sides, ROUNDS, warm_up=False)
    return rounds.rows(measures, eventd.NAME, qemu_ga.NAME)


def _sample(measures: list[Measure], pid: int, seconds: float) -> Sample:
    before, begun = usage(pid), time.perf_counter()
    time.sleep(seconds)
    used, taken = usage(pid) - before, time.perf_counter() - begun
    cpu, wakeups = measures
    return {cpu.name: used.cpu_us / 1000 / taken, wakeups.name: used.wakeups / taken}


def _leave(side: Served) -> None:
    side.host.close()


def _stay(side: Served) -> None:
    side.host.ask(PING)


def _never_read(side: Served) -> None:
    side.host.sock.settimeout(SETTLE)
    with suppress(TimeoutError):
        while True:
            side.host.sock.sendall(UNREAD)


def _leave_unread(side: Served) -> None:
    _never_read(side)
    side.host.close()


STATES = {
    "no host": _leave,
    "a quiet host": _stay,
    "a host that never reads": _never_read,
    "a host left its replies unread": _leave_unread,
}
