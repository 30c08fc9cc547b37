"""What a process uses, from /proc (proc(5))."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PROCESS_CLOCK = 2
"""With a process's number, the clock that clock_getcpuclockid(3) gives."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used up so far.

    Attributes:
        cpu_us: processor time of all its threads, in microseconds.
        wakeups: how often they went to sleep, or were made to make room.
    """

    cpu_us: float
    wakeups: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(self.cpu_us - earlier.cpu_us, self.wakeups - earlier.wakeups)


def usage(pid: int) -> Usage:
    """What a process used up so far; to the nanosecond, where `ps` knows hundredths of a second."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    return Usage(nanoseconds / 1000, sum(map(_switches, tasks)))


def cpu_us(pid: int) -> float:
    """Processor time of a process, that of threads which ended included, in microseconds."""
    return time.clock_gettime_ns(~pid << 3 | _PROCESS_CLOCK) / 1000


def resident_mib(pid: int) -> float:
    """The memory that a process has now, shared libraries included, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


def _switches(task: Path) -> int:
    status = (task / "status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)
