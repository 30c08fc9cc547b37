"""The events of one host connection: all of its subscriptions, and when there is more of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable

import anyio

from guestmux_eventd.event_history import EventHistory
from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.position import Since
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.sent_record import Receiver
from guestmux_eventd.stream_state import StreamState
from guestmux_eventd.subscription import Subscription
from guestmux_protocol.patterns import MAX_PATTERNS, EventFilter

MAX_SUBSCRIPTIONS = 16
"""Subscriptions of one host connection."""


class EventFeed:
    """What one host connection is sent of the events.

    Args:
        history: the events.
        state: what beacons tell.
        hosts: told when the host changes what it wants.
        now: a monotonic clock, in seconds; the event loop's.
        receiver: puts its subscriptions on record.
    """

    def __init__(
        self,
        history: EventHistory,
        state: StreamState,
        hosts: Hosts,
        now: Callable[[], float] = time.monotonic,
        receiver: Receiver | None = None,
    ) -> None:
        self._receiver = receiver
        self._history = history
        self._state = state
        self._hosts = hosts
        self._now = now
        self._subscriptions: dict[str, Subscription] = {}
        self._more = anyio.Event()
        self._waits_until = math.inf

    def __repr__(self) -> str:
        return f"<EventFeed {list(self._subscriptions.values())}>"

    @property
    def wanted(self) -> EventFilter | None:
        """The names that any subscription wants; None where there is none."""
        if not self._subscriptions:
            return None
        terms = [subscription.terms for subscription in self._subscriptions.values()]
        patterns = {pattern for each in terms for pattern in each.wanted.patterns}
        return EventFilter(sorted(patterns) if len(patterns) <= MAX_PATTERNS else ["*"])

    @property
    def cursor(self) -> int:
        """The number up to which no subscription has anything to send."""
        cursors = [subscription.cursor for subscription in self._subscriptions.values()]
        return min(cursors, default=self._history.log.last)

    @property
    def has_more(self) -> bool:
        """Whether there is something to send."""
        return any(subscription.has_more for subscription in self._subscriptions.values())

    def has(self, seq: int) -> bool:
        """Whether each subscription was given everything up to an event, and acknowledged it where it has to."""
        return all(subscription.has(seq) for subscription in self._subscriptions.values())

    def subscribe(self, terms: Terms, since: Since | None) -> None:
        """Add a subscription, in the place of one with the same name.

        Raises:
            CommandFailure: there are too many, or the position cannot be.
        """
        if terms.name not in self._subscriptions and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise CommandFailure(f"{MAX_SUBSCRIPTIONS} subscriptions of one host are all that there may be")
        subscription = Subscription(self._history, self._state, terms, since, self._now)
        self._closed(self._subscriptions.get(terms.name))
        self._subscriptions[terms.name] = subscription
        self._opened(subscription)
        self._changed()

    def unsubscribe(self, patterns: Iterable[str] | None, name: str = "") -> None:
        """End a subscription, or only what these patterns of its brought."""
        subscription = self._subscriptions.get(name)
        if subscription is None:
            return
        if patterns is not None:
            subscription.forget(patterns)
            self._opened(subscription)
        if patterns is None or not subscription.terms.wanted.patterns:
            del self._subscriptions[name]
            self._closed(subscription)
        self._changed()

    def clear(self) -> None:
        """End all subscriptions."""
        if self._subscriptions:
            self.close()
            self._subscriptions.clear()
            self._changed()

    def close(self) -> None:
        """The connection is over."""
        for subscription in self._subscriptions.values():
            self._closed(subscription)

    def acknowledge(self, seq: int, name: str | None = None) -> None:
        """The host is done with everything up to an event, in one subscription or in all.

        Raises:
            CommandFailure: the host has no subscription of that name; it would wait for events without end.
        """
        chosen = self._subscriptions.values() if name is None else (self._named(name),)
        for subscription in chosen:
            subscription.acknowledge(seq)
        self.wake()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called when there are more events, or the stream stands otherwise; returns what ends it."""
        return self._history.log.listen(wake)

    def wake_for_more(self) -> None:
        """Have `wait` return if there is something to send, or will be before it returns."""
        for subscription in self._subscriptions.values():
            due = subscription.due
            if subscription.has_more or (due is not None and due < self._waits_until):
                self.wake()
                return

    def wake(self) -> None:
        """Have `wait` return: there may be more."""
        self._more.set()

    async def wait(self) -> None:
        """Wait until there may be more."""
        due = [when for each in self._subscriptions.values() if (when := each.due) is not None]
        self._waits_until = min(due, default=math.inf)
        if due:
            with anyio.move_on_after(max(self._waits_until - self._now(), 0)):
                await self._more.wait()
        else:
            await self._more.wait()
        self._waits_until = -math.inf
        self._more = anyio.Event()

    def take(self) -> list[Entry]:
        """The next events to send, of one subscription; none when memory has no more for now."""
        for name, subscription in self._subscriptions.items():
            if events := subscription.take():
                self._move_behind(name)
                return events
        return []

    async def next(self) -> list[Entry]:
        """The next events to send, wherever they are; none when there are no more for now."""
        while not (events := self.take()) and (subscription := self._behind()):
            await subscription.fetch()
        return events

    def _named(self, name: str) -> Subscription:
        if subscription := self._subscriptions.get(name):
            return subscription
        raise CommandFailure(
            f"there is no subscription '{name}'" if name else "there is no unnamed subscription"
        )

    def _behind(self) -> Subscription | None:
        """One that has to read from the disk, if that can be read."""
        if self._history.frozen:
            return None
        behind = (each for each in self._subscriptions.values() if each.is_behind and not each.is_full)
        return next(behind, None)

    def _move_behind(self, name: str) -> None:
        """Have the others be next."""
        if len(self._subscriptions) > 1:
            self._subscriptions[name] = self._subscriptions.pop(name)

    def _opened(self, subscription: Subscription) -> None:
        if self._receiver:
            self._receiver.opened(subscription)

    def _closed(self, subscription: Subscription | None) -> None:
        if self._receiver and subscription:
            self._receiver.closed(subscription)

    def _changed(self) -> None:
        self.wake()
        self._hosts.changed()
