"""The journal as eventd's loop has it: nothing here waits for a disk, except who asks to."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.queue import JournalQueue, Order
from guestmux_eventd.journal.runs import MAX_RUNS, RESERVED, Run
from guestmux_eventd.journal.store import Item
from guestmux_eventd.journal.writer import JournalWriter
from guestmux_eventd.position import Kept
from guestmux_eventd.told import Told

BATCH_SECONDS = 0.05
"""While events gather for a transaction: what a crash can take, and the writes of a disk are 20 a second at most."""

BATCH_EVENTS = 4096
"""Events taken from the queue at a time."""

BEGIN_SECONDS = 5.0
"""For the disk when a run begins. Eventd goes on without it then: hosts wait to hear from the guest."""

PAUSE_SECONDS = 5.0
"""For the disk before a freeze. A disk that takes longer is frozen with the journal in the middle of it."""

CLOSE_SECONDS = 2.0
"""For the disk when eventd ends: the journal's part of what systemd gives a service."""

READ_EVENTS = 512
"""Events read at a time: to go to the thread and back costs as much as to read a few dozen."""

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Journal:
    """The events of class "every", on disk.

    One thread has the files, and waits for nobody but the disk. If the disk hangs, events wait in the thread's queue,
    and become a gap when that is full; who reads waits as well, and is to have a deadline.

    Args:
        place: where it is.
        now: a clock that only goes forward, in seconds.
        batch_seconds: while events gather for a transaction.
        boot: names the present boot of the machine; empty where it is not known.

    Attributes:
        told: what hosts were told that still holds; from `start` on also what the last run had told.
        changed: called on the loop when `fault` or `collides` has changed.
    """

    def __init__(
        self,
        place: JournalPlace,
        *,
        now: Callable[[], float] = time.monotonic,
        batch_seconds: float = BATCH_SECONDS,
        boot: str = "",
    ) -> None:
        self.told = Told(boot, place.told_bytes)
        self.changed: Callable[[], object] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer = JournalWriter(place, now, self._writer_changed, self.told.rows)
        self._unanswered: JournalFault | None = None
        self._queue = JournalQueue()
        self._batch_seconds = batch_seconds
        # A disk that hangs for ever must not keep eventd from ending.
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._earlier: tuple[Run, ...] = ()
        self._present = Run("", 1, None, 0)
        self._reserve_at = 0
        self._frozen = False
        self._pausing: Order | None = None
        self._resting = False
        self._ended = False

    def __repr__(self) -> str:
        return f"<Journal {self._present.epoch} {self._writer!r} {self._queue!r}>"

    @property
    def fault(self) -> JournalFault | None:
        """Why events are not stored now; None: they are."""
        return self._writer.fault or self._unanswered

    @property
    def collides(self) -> int:
        """Not 0: only a run that begins at this number, or behind it, can be stored. Begin one.

        The journal could not be read when the run began, and has used the run's numbers already.
        """
        return self._writer.collides

    async def start(self, epoch: str) -> int:
        """Open the journal and begin the first run; to be called once.

        Args:
            epoch: its name, which no other run has had.

        Returns:
            its first number; 1 where the journal cannot be read within BEGIN_SECONDS.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        first = 1
        with anyio.move_on_after(BEGIN_SECONDS) as opening:
            first = await self._ordered(self._writer.open)
            self.told.load(self._writer.told)
        if opening.cancelled_caught:
            self._unanswered = JournalFault("io", "the journal's disk does not answer")
            logger.warning("%s; events are kept in memory until it does", self._unanswered)
        begun = self.begin(epoch, first)
        begun.result.add_done_callback(self._answered)
        with anyio.move_on_after(BEGIN_SECONDS):
            await self._done(begun)
        self._queue.order(Order(self._writer.check))
        return first

    def begin(self, epoch: str, first: int) -> Order:
        """End the run and begin another; what is appended from now on is the other's. Never waits.

        Args:
            epoch: its name, which no other run has had.
            first: its first number, higher than all before.
        """
        # The numbers of one that collides are also those of others, before it: no position in it can be found again.
        if self._present.epoch and not self.collides:
            ended = Run(self._present.epoch, self._present.first, first - 1, first - 1)
            self._earlier = (*self._earlier, ended)[-MAX_RUNS:]
        self._present = Run(epoch, first, None, first - 1)
        self._reserve_at = first + RESERVED // 2
        order = Order(partial(self._writer.begin, epoch, first))
        self._queue.order(order)
        return order

    def append(self, entry: Entry) -> None:
        """Have an event stored soon. Never waits."""
        self._queue.put(entry)

    def numbered(self, seq: int) -> None:
        """Tell of an event that is not stored: its number must not be used again after a crash. Never waits."""
        if seq >= self._reserve_at:
            self._reserve_at = seq + RESERVED // 2
            self._queue.order(Order(partial(self._writer.reserve, seq)))

    def lose(self, first: int, last: int) -> None:
        """Have numbers named as those of events that were not stored. Never waits."""
        self._queue.order(Order(partial(self._writer.write, [Gap(first, last, "not-stored")])))

    def kept(self, first: int, last: int) -> Kept:
        """What there is to read, for `position.plan`.

        Args:
            first: the oldest number in memory.
            last: the latest number.
        """
        own = {run.epoch for run in (*self._earlier, self._present)}
        found = [run for run in self._writer.runs if run.has_ended and run.epoch not in own]
        return Kept((*found, *self._earlier, self._present), first, last, self._writer.readable)

    async def read(self, after: int, upto: int, limit: int = READ_EVENTS) -> list[Item]:
        """The next events with numbers above `after` and up to `upto`, and the gaps between them; none: no more.

        Everything that was appended before is among them. Waits while it is paused, and as long as the disk takes.

        Raises:
            JournalFault: it cannot be read.
        """
        return await self._ordered(partial(self._writer.read, after, upto, limit))

    async def pause(self) -> bool:
        """Store what was appended, and touch no file from here on until `resume`.

        Returns:
            whether it has come to that, within PAUSE_SECONDS; it will, as soon as the disk answers.
        """
        order = self.hold()
        with anyio.move_on_after(PAUSE_SECONDS) as pausing:
            await self._done(order)
        return not pausing.cancelled_caught

    def hold(self) -> Order:
        """Begin what `pause` waits for. Never waits."""
        self._frozen = True
        if self._pausing is None:
            self._pausing = Order(self._rest)
            self._queue.order(self._pausing)
        return self._pausing

    def resume(self) -> None:
        """Go on."""
        self._frozen = False
        self._pausing = None
        self._queue.hurry()

    async def close(self, last: int) -> None:
        """End the run cleanly, if the disk lets us within CLOSE_SECONDS.

        Args:
            last: the last number that it used.
        """
        if self._frozen:
            logger.warning("the journal's file system is frozen: what was not stored yet is lost")
            return
        with anyio.move_on_after(CLOSE_SECONDS) as closing:
            await self._ordered(partial(self._close, last))
        if closing.cancelled_caught:
            logger.warning("the journal's disk does not answer: what was not stored yet is lost")

    async def _ordered(self, work: Callable[[], Result]) -> Result:
        order = Order(work)
        self._queue.order(order)
        result: Result = await self._done(order)
        return result

    async def _done(self, order: Order) -> Any:
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell(_result: object) -> None:
            # Nobody waits any more when the loop has been closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        order.result.add_done_callback(tell)
        await done.wait()
        return order.result.result()

    def _run(self) -> None:
        while not self._ended:
            self._queue.wait(self._writer.patience(), self._batch_seconds)
            self._work_off()

    def _work_off(self) -> None:
        more = True
        while more:
            items, order = self._queue.take(BATCH_EVENTS)
            self._writer.write(items)
            if order is not None:
                order.run()
                self._await_thaw()
            more = order is not None or bool(items)

    def _answered(self, _begun: object) -> None:
        if self._unanswered is not None:
            self._unanswered = None
            self._writer_changed()

    def _writer_changed(self) -> None:
        # Nobody listens any more when the loop has been closed.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(lambda: self.changed())

    def _rest(self) -> None:
        self._resting = True

    def _await_thaw(self) -> None:
        while self._resting and self._frozen:
            self._queue.doze()
        self._resting = False

    def _close(self, last: int) -> None:
        self._writer.close(last)
        self._ended = True
