"""All streams of one guest, and which subscription feeds each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from guestmux.errors import GuestmuxError
from guestmux.event import SizedEvent
from guestmux.stream import EventStream
from guestmux.stream_group import StreamGroup
from guestmux_protocol.commands import Position
from guestmux_protocol.errors import RemoteError


class EventHub:
    """The streams of a guest.

    Those that want only names share the unnamed subscription. One that has wishes of its own, or begins at a position
    while others are there, has a subscription of its own, so that nobody hears what is said to it.

    Args:
        on_unwanted: called with a subscription's name when an event came by it though it feeds no stream any more.
        on_set_back: called when the guest's memory was set back under the connection, which is to be given up then:
            nothing that was asked on it means anything to the guest. What still comes is passed over.

    Attributes:
        is_set_back: it was, and the connection is not given up yet.
        suspected: the run in which something was cut off: if it still goes on the guest's memory was set back, as
            eventd breaks off where it ends only. Empty where there is none.
        doubted: the run of which the guest gives out numbers twice; empty where none is known.
    """

    def __init__(
        self, on_unwanted: Callable[[str], None], on_set_back: Callable[[], None] = lambda: None
    ) -> None:
        self.is_set_back = False
        self.suspected = self.doubted = ""
        self.shared = StreamGroup(on_set_back=self._set_back)
        self._on_set_back = on_set_back
        self._own: dict[str, StreamGroup] = {}
        self._numbers = count(1)
        self._names_in_use = False
        self._on_unwanted = on_unwanted
        self._latest = 0

    def __repr__(self) -> str:
        return f"<EventHub {self.groups}>"

    @property
    def groups(self) -> list[StreamGroup]:
        """Those that feed a stream."""
        return [group for group in (self.shared, *self._own.values()) if group.streams]

    @property
    def named(self) -> list[StreamGroup]:
        """The subscriptions with a name, those that feed no stream any more included."""
        return list(self._own.values())

    @property
    def settled(self) -> int:
        """The event up to which every consumer is done; 0 where there is none."""
        settled = [seq for group in self.groups if (seq := group.settled) is not None]
        return min(settled, default=self._latest)

    def add(self, stream: EventStream) -> StreamGroup:
        """Place a stream that is to begin; gives where.

        One that goes on from somewhere gets nothing that the unnamed subscription has under way since before: it would
        take that for what comes next, and what comes again from behind its position for repetitions.
        """
        group = self.shared
        if not stream.selection.is_plain or (stream.is_to_continue and (group.streams or group.present)):
            group = self._new_group()
        group.add(stream)
        return group

    def remove(self, stream: EventStream) -> None:
        """Forget a stream that could not begin."""
        for group in (self.shared, *self._own.values()):
            group.remove(stream)

    def share(self, group: StreamGroup) -> None:
        """Have the streams of a subscription that the guest cannot have share the unnamed one."""
        del self._own[group.name]
        for stream in group.streams:
            self.shared.add(stream)

    def separate(self) -> None:
        """Give each stream that is not where the others are a subscription of its own.

        A guest that restarted may know one place and not another, and says so only of the one that it is asked about.
        """
        base = self.shared.since
        for stream in self.shared.streams:
            if stream.begun and stream.reached != base:
                self.shared.remove(stream)
                self._new_group().add(stream)

    def new_name(self) -> str:
        """A name for one more subscription."""
        self._names_in_use = True
        return str(next(self._numbers))

    def take_deserted(self) -> list[str]:
        """Forget the subscriptions that feed no stream any more, but the unnamed one; gives their names."""
        deserted = [name for name, group in self._own.items() if not group.streams]
        for name in deserted:
            del self._own[name]
        return deserted

    def dispatch(self, events: Sequence[SizedEvent]) -> None:
        """Give events to every stream that wants them."""
        if self.is_set_back:
            return
        if self._names_in_use:
            for name, batch in _by_subscription(events):
                self._feed(name, batch)
        else:
            self._feed("", events)
        # A late event has a lower number than what came before.
        self._latest = max(events[-1][0].seq or 0, self._latest)

    def disconnected(self, reason: str) -> None:
        """Tell every stream that the guest is gone, or forgot the subscriptions."""
        self._latest = 0
        self.is_set_back = False
        for group in (self.shared, *self.named):
            group.disconnected(reason)

    def garbled(self, reason: str) -> None:
        """Something was cut off that may have been an event: every stream has to ask again."""
        self.suspected = next((group.present for group in self.groups if group.present), "")
        self.disconnected(reason)

    def restored(self, latest: Position) -> None:
        """The guest's memory was set back, nobody knows how far.

        Args:
            latest: its latest event.
        """
        self.doubted = latest.epoch
        for group in self.groups:
            group.set_back(latest)

    def end(self, error: GuestmuxError | RemoteError) -> None:
        """End every stream."""
        for group in self.groups:
            group.end(error)

    def _new_group(self) -> StreamGroup:
        group = StreamGroup(self.new_name(), self._set_back)
        self._own[group.name] = group
        return group

    def _set_back(self, to: Position) -> None:
        if self.is_set_back:
            return
        self.is_set_back = True
        self.restored(to)
        self._on_set_back()

    def _feed(self, name: str, events: Sequence[SizedEvent]) -> None:
        if self.is_set_back:
            return
        group = self._own.get(name) if name else self.shared
        if group is None or not group.feed(events):
            self._on_unwanted(name)


def _by_subscription(events: Sequence[SizedEvent]) -> list[tuple[str, list[SizedEvent]]]:
    """Events by the subscription that they came by, each in its order."""
    batches: dict[str, list[SizedEvent]] = {}
    for event in events:
        batches.setdefault(event[0].take_subscription(), []).append(event)
    return list(batches.items())
