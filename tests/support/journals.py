"""Journals in temporary directories, and what is in them."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.files import NAME
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.store import Item, JournalStore, last_of
from guestmux_eventd.told import Change

SMALL = Bounds(bytes=MIN_BYTES)
PARTS = (NAME, f"{NAME}-wal")


class Wall:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


def event(seq: int, *, size: int = 0, time: float = 1_700_000_000.0, change: Change | None = None) -> Entry:
    """An event as eventd has it."""
    data = json.dumps({"epoch": "e", "seq": seq, "source": "verified", "x": "x" * size}).encode()
    return Entry(seq, "SESSION_LOGIN", data, int(time * 1_000_000), change)


def events(numbers: Iterable[int], *, size: int = 0) -> list[Item]:
    """Several."""
    return [event(number, size=size) for number in numbers]


def place(
    directory: Path, *, machine: str = "m", bounds: Bounds = SMALL, wall: Wall | None = None
) -> JournalPlace:
    """A journal's place; the directory is made."""
    directory.mkdir(mode=0o700, exist_ok=True)
    return JournalPlace(directory, machine, bounds, wall or Wall())


@contextmanager
def opened(place: JournalPlace) -> Iterator[JournalStore]:
    """The journal, open."""
    store = place.open()
    try:
        yield store
    finally:
        store.close()


def everything(store: JournalStore, after: int = 0, limit: int = 7) -> list[Item]:
    """All that is read behind a number, a few at a time."""
    items: list[Item] = []
    while more := store.read(after, 1 << 53, limit):
        items += more
        after = last_of(more[-1])
    return items


def numbers(items: Iterable[Item]) -> list[int | tuple[int, int, str]]:
    """Numbers of events, and gaps, as a test writes them down."""
    return [(item.first, item.last, item.reason) if isinstance(item, Gap) else item.seq for item in items]


def copied(directory: Path, to: Path, log_bytes: int | None = None) -> Path:
    """The journal's files as they are now, which is what is left after a kill; after a power cut, less of the log."""
    to.mkdir(mode=0o700)
    for part in PARTS:
        if (directory / part).exists():
            shutil.copy(directory / part, to / part)
    if log_bytes is not None and (to / PARTS[1]).exists():
        with (to / PARTS[1]).open("r+b") as log:
            log.truncate(log_bytes)
    return to


def memory_folder() -> Path:
    """A new folder for thousands of journals: their flushes wait for no disk where /dev/shm is one."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="journals-", dir=shared if os.access(shared, os.W_OK) else None))


def log_bytes(directory: Path) -> int:
    """Bytes of the journal's log."""
    log = directory / PARTS[1]
    return log.stat().st_size if log.exists() else 0


def same(one: Item, other: Item) -> bool:
    """Whether two items are the same in all parts."""
    if isinstance(one, Gap) or isinstance(other, Gap):
        return one == other
    return (one.seq, one.name, one.data, one.time) == (other.seq, other.name, other.data, other.time)


@contextmanager
def mounted_memory(directory: Path) -> Iterator[Path]:
    """A file system of 2 MB. Skips where this machine has none for us."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2M,mode=700", "tmpfs", str(directory)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(ballast: Path) -> None:
    """Take all the room of a file system."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
