"""One consumer's stream of events."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

import anyio

from guestmux.about_stream import EVENTS_LOST, ROLLED_BACK, STREAM_EVENTS, Loss, beacon_from
from guestmux.cursor import Cursor
from guestmux.cursor_file import CursorError
from guestmux.errors import GuestmuxError, NotConnected
from guestmux.event import Disconnected, Event, Gap, Item, Reconnected, SizedEvent
from guestmux.event_queue import MAX_EVENTS, EventQueue
from guestmux.numbering import Numbering
from guestmux.selection import Selection
from guestmux.window import Window
from guestmux_protocol.commands import Position, Snapshot, Subscription
from guestmux_protocol.errors import RemoteError

NOWHERE = Position(epoch="", seq=0)
"""Where a stream is that has not begun."""

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where a stream has its events from."""

    async def begin(self, stream: EventStream) -> None:
        """Subscribe at the guest, so that the stream has its snapshot when it returns."""

    def wake(self) -> None:
        """Look after the streams: one was closed, or has something to acknowledge."""


class EventStream:
    """Iterate over it for events, and for what became of the stream: Gap, Beacon, Disconnected, Reconnected.

    It subscribes when it is entered (`async with`), begun, or first iterated over. One consumer at a time. Whoever
    drops it without aclose() (a `break` out of `async for`) need do nothing.

    A consumer is done with an item when it asks for the next one, or calls commit().

    Args:
        source: subscribes at the guest.
        selection: what is asked for.
        since: continue after this position instead of now.
        max_events: events that may wait for the consumer; what is over is dropped, and told by a Gap.
        cursor: keeps the position that the consumer is done with, and is where the stream continues.
    """

    def __init__(
        self,
        source: Source,
        selection: Selection,
        since: Position | None = None,
        *,
        max_events: int = MAX_EVENTS,
        cursor: Cursor | None = None,
    ) -> None:
        self.selection = selection
        self.window = None if selection.window is None else Window(selection.window, source.wake)
        self._source = source
        self._cursor = cursor
        self._continues = since is not None
        self._numbering = Numbering(selection)
        self._numbering.go_to(since or NOWHERE)
        self._given: Position | Event = since or NOWHERE
        self._done: Position | Event = self._given
        self._snapshot: Snapshot | None = None
        self._idle = False
        self._queue = EventQueue(max_events)
        self._grown = anyio.Event()
        self._latest = 0
        self._doubts = 0
        self._interrupted = False
        self._ended: Exception | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventStream {' '.join(self.selection.wanted.patterns)} at {self.position} {self._queue!r}>"

    @property
    def snapshot(self) -> Snapshot:
        """The guest's sessions when the stream began; the events are changes to it.

        Raises:
            NotConnected: the stream has not begun yet.
        """
        if self._snapshot is None:
            raise NotConnected(
                "the stream of events has not begun: use 'async with guest.events(...) as stream'"
            )
        return self._snapshot

    @property
    def position(self) -> Position | None:
        """Where the consumer is, what it was given last included; give it as `since` to continue later."""
        return self._as_position(self._given)

    @property
    def committed(self) -> Position | None:
        """Up to where the consumer is done."""
        return self._as_position(self._done)

    @property
    def reached(self) -> Position | None:
        """The last event that came from the guest; it may still wait for the consumer."""
        if not self.begun and not self._continues:
            return None
        return self._numbering.position

    @property
    def doubts(self) -> int:
        """How often the guest was asked to go on at its position, and nothing came since that would not without it."""
        return self._doubts

    @property
    def latest(self) -> int:
        """The number of the guest's latest event when the stream began, or was begun again."""
        return self._latest

    @property
    def is_to_continue(self) -> bool:
        """Whether it has not begun yet, and is to begin at a position of its consumer's choice."""
        return self._continues and not self.begun

    @property
    def begun(self) -> bool:
        """Whether the guest answered the subscription."""
        return self._snapshot is not None

    @property
    def can_restart(self) -> bool:
        """Whether it may go on with the present where the guest refuses its position."""
        return self.begun or self._cursor is not None or not self._continues

    @property
    def interrupted(self) -> bool:
        """Whether the guest has to be asked again."""
        return self._interrupted

    @property
    def alive(self) -> bool:
        """Whether it takes more events."""
        return not self._closed and self._ended is None

    @property
    def settled(self) -> int | None:
        """The event up to which its consumer is done; None: with everything that came, where nobody counts."""
        if self._idle and not self._queue:
            return None if self.window is None else self._numbering.seq
        epoch = self._numbering.epoch
        if self._given.epoch != epoch or self._given.seq is None:
            return 0
        done = self._done.seq if self._done.epoch == epoch else None
        return max(done or 0, self._given.seq - 1)

    async def begin(self) -> Snapshot:
        """Subscribe, and give the snapshot.

        Raises:
            RemoteError: the guest has no events (a stock qemu-ga), or refuses.
            CursorError: the file of the position cannot be used, or another consumer has it.
            GuestmuxError: there is no connection, or the guest is too old for what is asked.
        """
        if self._snapshot is None:
            if self._cursor is None:
                await self._source.begin(self)
            else:
                await self._begin_durable(self._cursor)
        return self.snapshot

    async def commit(self) -> None:
        """Say that what was given last is done with. With a cursor it is on disk when this returns.

        Raises:
            CursorError: it cannot be written.
        """
        self._done = self._given
        if self.window is not None and self.settled is not None:
            self.window.done(self.settled, idle=False)
        if self._cursor is not None and self.begun:
            self._cursor.note(self._done)
            await self._cursor.save()

    async def aclose(self) -> None:
        """Take no more events.

        Raises:
            CursorError: the position could not be written.
        """
        self._close()
        if self._cursor is not None:
            with anyio.CancelScope(shield=True):
                await self._cursor.close()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.aclose()
        except CursorError as fault:
            # What went wrong first is what the caller is to see.
            if error is None:
                raise
            logger.warning("%s", fault)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self._done = self._given
        if self._cursor is not None or self.window is not None:
            self._tell_done()
        if not self._queue or self._closed:
            await self._wait()
        item, stands = self._queue.take()
        if item.__class__ is Event:
            if self._numbering.moves(item):
                self._given = item
        elif stands is not None:
            self._given = stands
        return item

    def feed(self, events: Sequence[SizedEvent], *, exact: bool = True) -> None:
        """Take events from the guest.

        Args:
            events: some, in order; at least one.
            exact: whether the guest was asked with this stream's own patterns.
        """
        if not self.begun or self._closed:
            return
        self._doubts = 0
        wanted, advance, put = self.selection.wanted, self._numbering.advance, self._queue.put
        for event, size in events:
            if event.name in STREAM_EVENTS:
                self._about_stream(event, exact)
            elif event.name in wanted:
                if advance(event):
                    put(event, size)
                elif gap := self._numbering.break_before(event):
                    self._tell(gap, breaks=True)
                    advance(event)
                    put(event, size)
        self._numbering.reach(events[-1][0])
        if self._idle and not self._queue:
            self._all_done()
        self._grown.set()

    def subscribed(self, answer: Subscription, *, resume: bool = True) -> None:
        """The guest answered a subscription that this stream is part of.

        Args:
            answer: the guest's.
            resume: whether it was asked to begin where the streams are.
        """
        latest = Position(epoch=answer.epoch, seq=answer.seq)
        if self._snapshot is None:
            self._begin_at(latest, answer.snapshot, resume)
        elif self._interrupted or not resume or latest.epoch != self._numbering.present:
            self._notice(Reconnected(latest.epoch, latest.seq, answer.snapshot, resume))
            if not resume:
                self._begin_anew(latest)
        self._numbering.present, self._latest = latest.epoch, latest.seq
        self._doubts += resume and self.reached != latest
        self._interrupted = False
        if self.window is not None:
            self.window.reset(self._numbering.seq)

    def set_back(self, to: Position) -> None:
        """The guest's memory was set back; see `Numbering.set_back`. It has to be asked again."""
        if self.begun:
            self._tell(self._numbering.set_back(to), breaks=True)

    def disconnected(self, reason: str) -> None:
        """The connection is gone, or the guest forgot the subscription."""
        if self.begun and not self._interrupted:
            self._interrupted = True
            self._notice(Disconnected(reason))

    def end(self, error: GuestmuxError | RemoteError) -> None:
        """No more will come; the consumer gets what waits, then the error."""
        if self._ended is None:
            self._ended = error
            self._grown.set()

    async def _begin_durable(self, cursor: Cursor) -> None:
        """Begin where the file says. What is kept now is where to begin after a crash, also where nothing came."""
        position = await cursor.open()
        try:
            if position is not None:
                self._continues = True
                self._numbering.go_to(position)
            await self._source.begin(self)
            cursor.note(self._given)
            await cursor.save()
        except BaseException:
            if self.begun:
                self._close()
            with anyio.CancelScope(shield=True), suppress(CursorError):
                await cursor.close()
            raise

    def _begin_at(self, latest: Position, snapshot: Snapshot, resume: bool) -> None:
        begun_at = self.reached
        self._snapshot = snapshot
        if begun_at is None:
            self._numbering.go_to(latest)
        elif not resume:
            self._begin_anew(latest)
        self._given = self._done = begun_at or latest

    def _begin_anew(self, latest: Position) -> None:
        self._numbering.go_to(latest)
        self._notice(Gap(0, 0, ROLLED_BACK), latest)

    def _close(self) -> None:
        self._closed = True
        self._grown.set()
        self._source.wake()

    async def _wait(self) -> None:
        """Wait until there is something to take."""
        if not self._closed:
            await self.begin()
        self._idle = True
        try:
            self._all_done()
            while not self._queue and self.alive:
                await self._wait_for_more()
        finally:
            self._idle = False
        if self._closed:
            raise StopAsyncIteration
        if not self._queue and self._ended is not None:
            if self._cursor is not None:
                await self._cursor.save()
            raise self._ended

    async def _wait_for_more(self) -> None:
        self._grown = grown = anyio.Event()
        if self._cursor is not None:
            self._cursor.on_fault = grown.set
        await grown.wait()
        if self._cursor is not None:
            self._cursor.check()

    def _all_done(self) -> None:
        """The consumer has nothing left, so it is as far as the stream."""
        if self._queue or self._closed:
            return
        reached = self._numbering
        if self._given.seq != reached.seq or self._given.epoch != reached.epoch:
            self._given = self._done = reached.position
        self._tell_done(idle=True)

    def _tell_done(self, *, idle: bool = False) -> None:
        if self._closed:
            return
        if self.window is not None and (settled := self.settled) is not None:
            self.window.done(settled, idle=idle)
        if self._cursor is not None and self.begun:
            self._cursor.note(self._done)
            self._cursor.check()

    def _as_position(self, place: Position | Event) -> Position | None:
        if place is NOWHERE or place.seq is None:
            return None
        return Position(epoch=place.epoch, seq=place.seq)

    def _notice(self, notice: Item, stands: Position | None = None) -> None:
        self._queue.put_notice(notice, stands)
        self._grown.set()

    def _about_stream(self, event: Event, exact: bool) -> None:
        if event.name == EVENTS_LOST:
            loss = Loss(event)
            if gap := self._numbering.lose(loss, exact=exact):
                self._tell(gap, loss.breaks)
        elif self.selection.beacon is not None:
            self._numbering.reach(event)
            self._notice(beacon_from(event), self._numbering.position)

    def _tell(self, gap: Gap, breaks: bool) -> None:
        self._notice(gap, self._numbering.position)
        if breaks and self.window is not None:
            self.window.reset(self._numbering.seq)
