"""One consumer's stream of events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self

import anyio

from guestmux.errors import GuestmuxError, NotConnected
from guestmux.event import EVENTS_LOST, Disconnected, Event, Item, Reconnected, SizedEvent, gap_from
from guestmux.event_queue import MAX_EVENTS, EventQueue
from guestmux_protocol.commands import Position, Snapshot, Subscription
from guestmux_protocol.errors import RemoteError
from guestmux_protocol.patterns import EventFilter

Begin = Callable[["EventStream"], Awaitable[None]]
"""Subscribes at the guest, so that the stream has its snapshot when it returns."""


class EventStream:
    """Iterate over it for events, and for what became of the stream: Gap, Disconnected, Reconnected.

    It subscribes when it is entered (`async with`), begun, or first iterated over. One consumer at a time. Whoever
    drops it without aclose() (a `break` out of `async for`) need do nothing.

    Args:
        begin: subscribes at the guest.
        patterns: globs over event names.
        since: continue after this position instead of now.
        max_events: events that may wait for the consumer; what is over is dropped, and told by a Gap.

    Raises:
        PatternError: a pattern is none.
    """

    def __init__(
        self,
        begin: Begin,
        patterns: Iterable[str],
        since: Position | None = None,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self.wanted = EventFilter(patterns)
        self._begin = begin
        self._since = since
        self._epoch: str | None = None if since is None else since.epoch
        self._seq = 0 if since is None else since.seq
        self._snapshot: Snapshot | None = None
        self._given = 0
        self._settled = 0
        self._idle = False
        self._queue = EventQueue(max_events)
        self._grown = anyio.Event()
        self._interrupted = False
        self._ended: Exception | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventStream {' '.join(self.wanted.patterns)} at {self.position} {self._queue!r}>"

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
        """The last event that was put in the queue; give it as `since` to continue later."""
        return None if self._epoch is None else Position(epoch=self._epoch, seq=self._seq)

    @property
    def begun(self) -> bool:
        """Whether the guest answered the subscription."""
        return self._snapshot is not None

    @property
    def interrupted(self) -> bool:
        """Whether the guest has to be asked again."""
        return self._interrupted

    @property
    def alive(self) -> bool:
        """Whether it takes more events."""
        return not self._closed and self._ended is None

    async def begin(self) -> Snapshot:
        """Subscribe, and give the snapshot.

        Raises:
            RemoteError: the guest has no events (a stock qemu-ga), or refuses.
            GuestmuxError: there is no connection.
        """
        if self._snapshot is None:
            await self._begin(self)
        return self.snapshot

    async def aclose(self) -> None:
        """Take no more events."""
        self._closed = True
        self._grown.set()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        self._settled = self._given
        if not self._queue or self._closed:
            await self._wait()
        item = self._queue.take()
        if item.__class__ is Event and item.epoch == self._epoch and item.seq is not None:
            self._given = item.seq
        return item

    async def _wait(self) -> None:
        """Wait until there is something to take."""
        if not self._closed:
            await self.begin()
        self._idle = True
        try:
            while not self._queue and self.alive:
                self._grown = anyio.Event()
                await self._grown.wait()
        finally:
            self._idle = False
        if self._closed:
            raise StopAsyncIteration
        if not self._queue and self._ended is not None:
            raise self._ended

    @property
    def settled(self) -> int | None:
        """The event of its journal up to which its consumer is done; None: with everything that came."""
        if self._idle and not self._queue:
            return None
        return max(self._settled, self._given - 1)

    def feed(self, events: Iterable[SizedEvent]) -> None:
        """Take events from the guest."""
        if not self.begun or self._closed:
            return
        wanted, put = self.wanted, self._queue.put
        for event, size in events:
            if event.name == EVENTS_LOST:
                self._lost(event)
            elif event.name in wanted and self._advance(event):
                put(event, size)
        self._grown.set()

    def subscribed(self, answer: Subscription, *, resume: bool = True) -> None:
        """The guest answered a subscription that this stream is part of.

        Args:
            answer: the guest's.
            resume: whether it was asked to begin where the streams are.
        """
        latest = Position(epoch=answer.epoch, seq=answer.seq)
        if self._snapshot is None:
            self._snapshot = answer.snapshot
            self._go_to(self._since or latest)
        else:
            self._subscribed_again(latest, answer.snapshot, resume)
        self._interrupted = False

    def _subscribed_again(self, latest: Position, snapshot: Snapshot, resume: bool) -> None:
        resumed = resume and self._epoch == latest.epoch
        if self._interrupted or not resumed:
            self._notice(Reconnected(latest.epoch, latest.seq, snapshot, resumed))
        if not resume:
            self._go_to(latest)

    def _go_to(self, position: Position) -> None:
        if position.epoch != self._epoch or not self.begun:
            self._given = self._settled = position.seq
        self._epoch, self._seq = position.epoch, position.seq

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

    def _notice(self, notice: Item) -> None:
        self._queue.put_notice(notice)
        self._grown.set()

    def _lost(self, event: Event) -> None:
        gap = gap_from(event, self.position or Position(epoch="", seq=0))
        if gap is not None:
            self._go_to(Position(epoch=event.epoch, seq=gap.last))
            self._notice(gap)

    def _advance(self, event: Event) -> bool:
        """Note the event's number. False: this stream had it, or began after it."""
        seq, epoch = event.seq, event.epoch
        if seq is None:
            return True
        if epoch != self._epoch:
            self._go_to(Position(epoch=epoch, seq=seq - 1))
        elif seq <= self._seq:
            return False
        self._seq = seq
        return True
