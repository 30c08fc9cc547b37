"""Eventd's events without eventd: a log with a small ring, a journal with its thread, and what becomes of both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.journal import Journal
from guestmux_eventd.journal.queue import Order
from guestmux_eventd.journal.runs import Run
from guestmux_protocol.events import VERIFIED
from tests.support.feeds import Feeds
from tests.support.journals import copied, place

RING = 6
"""Events in memory."""

BOUNDS = Bounds(bytes=MIN_BYTES, events=30)


class Now:
    """A clock that only goes forward, when it is told to."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@dataclass
class Suspended:
    """A guest whose machine was suspended, or snapshot with its memory."""

    directory: Path
    machine: str
    log: EventLog
    runs: tuple[Run, ...]


class EventGuest:
    """A run of eventd, as far as it has to do with events.

    Args:
        directory: of the journal; None: there is none.
        epoch: of the run.
        now: for rates and beacons.
        ring: events in memory.
    """

    def __init__(
        self,
        directory: Path | None,
        epoch: str,
        now: Callable[[], float] | None = None,
        *,
        machine: str = "m",
        ring: int = RING,
        bounds: Bounds = BOUNDS,
        boot: str = "",
    ) -> None:
        self.directory = directory
        self.machine = machine
        self.bounds = bounds
        self.disk_time = Now()
        self.log = EventLog(epoch, lambda: 1_700_000_000.0, max_events=ring)
        self.journal: Journal | None = None
        if directory is not None:
            self.journal = Journal(
                place(directory, machine=machine, bounds=bounds),
                now=self.disk_time,
                batch_seconds=0,
                boot=boot,
            )
        self.hosts = Hosts()
        self.feeds = Feeds(self.log, self.hosts, journal=self.journal, now=now or Now())
        self.history = self.feeds.history
        self.gate: FreezeGate = self.feeds.gate
        self._stall: threading.Event | None = None

    @property
    def stalled(self) -> bool:
        """Whether what is appended stays in memory for now."""
        return self._stall is not None or self.gate.frozen

    def feed(self) -> EventFeed:
        """For a host that comes."""
        return self.feeds()

    async def start(self) -> None:
        await self.history.start()

    def suspended(self, to: Path) -> Suspended:
        """What a snapshot of the machine with its memory has of it."""
        assert self.directory is not None
        log, kept = EventLog("", self.log._clock), dict(self.log._entries)
        log.epoch, log.first, log.last, log._entries = self.log.epoch, self.log.first, self.log.last, kept
        return Suspended(copied(self.directory, to), self.machine, log, self.history._runs)

    async def resume(self, state: Suspended) -> None:
        """Go on from there; in the place of `start`."""
        journal, log = self.journal, self.log
        assert journal is not None
        journal._loop = asyncio.get_running_loop()
        journal.changed = self.history._journal_changed
        journal._thread.start()
        await journal._ordered(journal._writer.open)
        await journal._done(journal.begin(state.log.epoch, state.runs[-1].first))
        self.history._runs = state.runs
        log.begin(state.log.epoch, state.log.first)
        log.last, log._entries = state.log.last, dict(state.log._entries)
        log._bytes = sum(entry.size for entry in log._entries.values())
        log.store_in(journal)

    async def append(self, name: str, **data: Any) -> int:
        """An event, which is on disk then where it can be."""
        seq = self.log.append(name, data, VERIFIED)
        await self.settle()
        return seq

    async def settle(self) -> None:
        """Let the thread do what it was told to."""
        if self.journal is not None and not self.stalled:
            await self.journal._ordered(lambda: None)
            await anyio.lowlevel.checkpoint()

    def stall(self) -> None:
        """The disk does not answer any more."""
        assert self.journal is not None
        self._stall = threading.Event()
        self.journal._queue.order(Order(self._stall.wait))

    async def go_on(self) -> None:
        """It does."""
        if self._stall is not None:
            self._stall.set()
            self._stall = None
        await self.settle()

    async def freeze(self) -> None:
        """As guest-fsfreeze-freeze."""
        self.gate.freezing()
        await self.gate.prepare()
        self.gate.freeze_ended(1)

    async def thaw(self) -> None:
        self.gate.thawed()
        await self.settle()

    async def end(self) -> None:
        """A clean one, unless it has come to an end."""
        if self.journal is not None and not self.journal._thread.is_alive():
            return
        await self.go_on()
        self.gate.thawed()
        await self.history.close()
        await self.gone()

    async def crash(self, to: Path) -> Path:
        """Leaves the files as they are now, as a kill does."""
        assert self.directory is not None
        left = copied(self.directory, to)
        await self.end()
        return left

    async def gone(self) -> None:
        """The thread has ended."""
        if self.journal is not None:
            while self.journal._thread.is_alive():
                await anyio.lowlevel.checkpoint()
