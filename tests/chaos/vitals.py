"""How much memory and disk eventd uses, sampled as long as it lives."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from tests.chaos.child import Child

SAMPLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Vital:
    """A sample.

    Attributes:
        time: seconds since the epoch.
        pid: which eventd.
        memory: resident bytes.
        disk: bytes of all files of the journal.
    """

    time: float
    pid: int
    memory: int
    disk: int


@dataclass(slots=True)
class Vitals:
    """The samples.

    Attributes:
        eventd: whose.
        journal: the directory of its journal.
        samples: them.
    """

    eventd: Child
    journal: Path
    samples: list[Vital] = field(default_factory=list)

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            if pid := self.eventd.pid:
                self.samples.append(Vital(time.time(), pid, memory_of(pid), disk_of(self.journal)))
            await anyio.sleep(SAMPLE_SECONDS)


def memory_of(pid: int) -> int:
    """Resident bytes of a process; 0 where there is none."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGESIZE")


def disk_of(directory: Path) -> int:
    """Bytes of the files in a directory."""
    if not directory.is_dir():
        return 0
    return sum(size_of(path) for path in directory.iterdir())


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
