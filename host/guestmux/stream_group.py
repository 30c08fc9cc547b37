"""The streams that one subscription at the guest feeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import msgspec

from guestmux.arrivals import Arrivals, last_certain
from guestmux.errors import GuestmuxError, UnexpectedReply
from guestmux.event import SUBSCRIPTION, SizedEvent
from guestmux.stream import EventStream
from guestmux_protocol.commands import Position, Subscription
from guestmux_protocol.errors import RemoteError
from guestmux_protocol.patterns import MAX_PATTERNS


class StreamGroup:
    """Streams, held weakly: one that its consumer dropped is gone. With a name it has one at most.

    Args:
        name: the subscription's; empty for the one that streams share.
        on_set_back: called when the guest's memory was set back, with the last number up to which it can be asked
            nothing.

    Attributes:
        fed: how often events came.
        present: the run that went on when the guest was asked last; empty where it was not.
    """

    def __init__(self, name: str = "", on_set_back: Callable[[Position], None] = lambda _: None) -> None:
        self.name = name
        self.fed = 0
        self.present = ""
        self._on_set_back = on_set_back
        self._arrivals = Arrivals()
        self._streams: WeakSet[EventStream] = WeakSet()
        self._exact = True

    def __repr__(self) -> str:
        return f"<StreamGroup {self.name} {len(self._streams)} streams>"

    @property
    def streams(self) -> list[EventStream]:
        """Those that take events."""
        return [stream for stream in self._streams if stream.alive]

    @property
    def interrupted(self) -> bool:
        """Whether the guest has to be asked again, because it forgot."""
        return any(stream.interrupted for stream in self.streams)

    @property
    def can_restart(self) -> bool:
        """Whether every stream may go on with the present where the guest refuses its position."""
        return all(stream.can_restart for stream in self.streams)

    def add(self, stream: EventStream) -> None:
        """Have a stream take part in the next subscription."""
        self._streams.add(stream)

    def remove(self, stream: EventStream) -> None:
        """Have a stream take part no more."""
        self._streams.discard(stream)

    def arguments(self, *, resume: bool = True) -> dict[str, Any]:
        """The arguments of the subscription that serves every stream, from where they are or from now on."""
        patterns = sorted(
            {pattern for stream in self.streams for pattern in stream.selection.wanted.patterns}
        )
        self._exact = len(patterns) <= MAX_PATTERNS
        arguments: dict[str, Any] = {"events": patterns if self._exact else ["*"]}
        if self.name:
            arguments[SUBSCRIPTION] = self.name
        for stream in self.streams:
            arguments.update(stream.selection.own)
        since = self.since if resume else None
        return arguments if since is None else {**arguments, "since": msgspec.to_builtins(since)}

    def on_subscribed(self, *, resume: bool = True) -> Callable[[Any], None]:
        """What takes the reply to a subscription made now; see `arguments`."""
        streams = self.streams
        since = self.since if resume else None

        def subscribed(untrusted_value: Any) -> None:
            try:
                answer = msgspec.convert(untrusted_value, Subscription)
            except msgspec.ValidationError as error:
                raise UnexpectedReply(f"the guest's answer to guest-event-subscribe: {error}") from error
            self.present = answer.epoch
            self._arrivals.answered(answer.seq, None if since is None else since.seq)
            is_behind = resume and any(_is_ahead(stream, answer) for stream in streams)
            for stream in streams:
                stream.subscribed(answer, resume=resume)
            if is_behind:
                self._on_set_back(Position(epoch=answer.epoch, seq=answer.seq))

        return subscribed

    @property
    def since(self) -> Position | None:
        """Where to begin, so that nobody misses anything; who has more already passes over it."""
        places = [(stream, reached) for stream in self.streams if (reached := stream.reached) is not None]
        begun = [(stream, reached) for stream, reached in places if stream.begun]
        known = {reached.epoch for _, reached in begun}
        most = max((stream.doubts for stream, _ in begun), default=0)

        def age(place: tuple[EventStream, Position]) -> tuple[int, int]:
            # To a position that it knows nothing of the guest answers with all that it has, so the doubtful come first.
            stream, reached = place
            if stream.begun:
                return -stream.doubts, reached.seq
            return -most if reached.epoch in known else -most - 1, reached.seq

        return min(places, key=age)[1] if places else None

    @property
    def settled(self) -> int | None:
        """The event up to which every consumer is done; None: with all that came."""
        settled = [seq for stream in self.streams if stream.begun and (seq := stream.settled) is not None]
        return min(settled, default=None)

    def acknowledgement(self) -> int | None:
        """What is to be acknowledged now, where the guest counts; None: nothing."""
        taken = [stream.window.take() for stream in self.streams if stream.window]
        return next((seq for seq in taken if seq is not None), None)

    def feed(self, events: Sequence[SizedEvent]) -> bool:
        """Give events to every stream. False: there is none any more."""
        self.fed += 1
        streams = self.streams
        wrong = self._arrivals.take(events)
        if possible := events if wrong is None else events[:wrong]:
            for stream in streams:
                stream.feed(possible, exact=self._exact)
        if wrong is not None:
            self._on_set_back(last_certain(events[wrong][0]))
        return bool(streams)

    def set_back(self, to: Position) -> None:
        """Tell every stream that the guest's memory was set back; see `EventStream.set_back`."""
        for stream in self.streams:
            stream.set_back(to)

    def disconnected(self, reason: str) -> None:
        """Tell every stream that the guest is gone, or forgot the subscription."""
        self._arrivals = Arrivals()
        for stream in self.streams:
            stream.disconnected(reason)

    def end(self, error: GuestmuxError | RemoteError) -> None:
        """End every stream."""
        for stream in self.streams:
            stream.end(error)


def _is_ahead(stream: EventStream, answer: Subscription) -> bool:
    """Whether a stream has more of a run than the guest says that there is."""
    reached = stream.reached
    return stream.begun and reached is not None and reached.epoch == answer.epoch and reached.seq > answer.seq
