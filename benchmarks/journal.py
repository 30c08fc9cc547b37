"""Keeping 50,000 events a second and giving them back: the journal beside the ring in memory and plain SQLite."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.core.rounds import Measure, Row, Sample, Scale, Side, take_turns
from benchmarks.peers.event_keeper import KINDS, measure

EVENTS = 100_000

NAMES = {"journal": "journal", "ring": "ring in memory", "plain": "sqlite3, event by event"}

APPEND = Measure("append, on the loop", "µs")
REPLAY = Measure("replay", "/s", more_is_better=True)
MEMORY = Measure("memory for 50,000 more", "MiB")


def run(folder: Path, scale: Scale) -> list[Row]:
    """Measure."""
    sides: dict[str, Side] = {
        NAMES[kind]: partial(_sample, folder, kind, scale.count(EVENTS)) for kind in KINDS
    }
    rounds = take_turns("journal", sides, scale.few(), warm_up=False)
    ours, *peers = sides
    return rounds.rows([APPEND, REPLAY, MEMORY], ours, *peers)


def _sample(folder: Path, kind: str, events: int) -> Sample:
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        said = measure(kind, Path(directory), events)
    return {APPEND.name: said["append"], REPLAY.name: said["replay"], MEMORY.name: said["memory"]}
