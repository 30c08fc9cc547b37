"""`python -m tests.chaos.overload --minutes N`: eventd's memory while agents emit all they can and a host never reads.

An hour at its default rate is as many events as some minutes of all that the machine carries: memory must come to a
level and stay there, whatever the number of events. Both hosts that read nothing and one that reads are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio

from tests.chaos.vitals import Vital
from tests.chaos.world import World, world

WARM_UP = 0.25
"""The share of the time in which memory fills up: the ring, the queues, the allocator's spare."""

MAX_GROWTH = 2 << 20
"""Bytes by which the fitted line may rise over the rest: what the allocator moves about."""

RATE = 200_000
"""Events a second that are asked for: more than any machine carries."""

LINES = 12
"""Samples that are shown."""


def slope(samples: Sequence[Vital]) -> float:
    """Bytes a second by which memory grows: least squares."""
    mean_time = sum(each.time for each in samples) / len(samples)
    mean_memory = sum(each.memory for each in samples) / len(samples)
    over = sum((each.time - mean_time) * (each.memory - mean_memory) for each in samples)
    return over / sum((each.time - mean_time) ** 2 for each in samples)


def growth(samples: Sequence[Vital], seconds: float) -> tuple[float, float]:
    """What memory grew by when it was warm.

    Args:
        samples: of the whole time.
        seconds: how long that was.

    Returns:
        the bytes of the fitted line, and in how many seconds; more than MAX_GROWTH is too much.
    """
    level = [sample for sample in samples if sample.time - samples[0].time > WARM_UP * seconds]
    warm = level[-1].time - level[0].time
    return slope(level) * warm, warm


async def measure(directory: Path, seconds: float, rate: int) -> tuple[World, int]:
    """Run eventd at full load.

    Returns:
        the world, whose vitals were sampled, and the number of events.
    """
    async with world(directory, seed=1, rate=rate, ring=65_536) as made:
        events = await made.overload(seconds)
        return made, events


def main() -> int:
    """Measure and print; returns 1 where memory grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.overload", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=RATE, help="events a second that are asked for")
    options = parser.parse_args()
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="guestmux-overload-") as directory:
        made, events = anyio.run(measure, Path(directory), seconds, options.rate)
    samples = made.vitals.samples
    begin = samples[0].time
    for sample in samples[:: max(len(samples) // LINES, 1)]:
        print(
            f"{sample.time - begin:6.0f} s  {sample.memory / 2**20:6.1f} MiB  {sample.disk >> 10:6} KiB on disk"
        )
    grown, warm = growth(samples, seconds)
    print(f"{events:,} events, {events / seconds:,.0f}/s: as many as {events / 2000 / 60:.0f} minutes at the")
    print(f"default of 2,000 a second of one agent. Memory grew by {grown / 2**20:+.2f} MiB over the last")
    print(f"{warm:.0f} s, {grown / warm * 3600 / 2**20:+.1f} MiB an hour")
    return int(grown > MAX_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
