"""All streams of one guest as one subscription: the guest keeps only one for a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import msgspec

from guestmux.errors import GuestmuxError, UnexpectedReply
from guestmux.event import SizedEvent
from guestmux.stream import EventStream
from guestmux_protocol.commands import Position, Subscription
from guestmux_protocol.errors import RemoteError
from guestmux_protocol.patterns import MAX_PATTERNS


class EventHub:
    """The streams. Held weakly: one that its consumer dropped is gone.

    Args:
        on_unwanted: called for an event that came though there is no stream any more.
    """

    def __init__(self, on_unwanted: Callable[[], None]) -> None:
        self._streams: WeakSet[EventStream] = WeakSet()
        self._on_unwanted = on_unwanted
        self._latest = 0

    def __repr__(self) -> str:
        return f"<EventHub {len(self._streams)} streams>"

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
        """Whether no stream asks for a position of its consumer's choice."""
        return all(stream.begun for stream in self.streams)

    def add(self, stream: EventStream) -> None:
        """Have a stream take part in the next subscription."""
        self._streams.add(stream)

    def arguments(self, *, resume: bool = True) -> dict[str, Any]:
        """The arguments of the subscription that serves every stream, from where they are or from now on."""
        patterns = sorted({pattern for stream in self.streams for pattern in stream.wanted.patterns})
        arguments: dict[str, Any] = {"events": patterns if len(patterns) <= MAX_PATTERNS else ["*"]}
        since = self._since() if resume else None
        return arguments if since is None else {**arguments, "since": msgspec.to_builtins(since)}

    def on_subscribed(self, *, resume: bool = True) -> Callable[[Any], None]:
        """What takes the reply to a subscription made now; see `arguments`."""
        streams = self.streams

        def subscribed(untrusted_value: Any) -> None:
            try:
                answer = msgspec.convert(untrusted_value, Subscription)
            except msgspec.ValidationError as error:
                raise UnexpectedReply(f"the guest's answer to guest-event-subscribe: {error}") from error
            for stream in streams:
                stream.subscribed(answer, resume=resume)

        return subscribed

    @property
    def settled(self) -> int:
        """The event up to which every consumer is done; 0 where there is none."""
        settled = [seq for stream in self.streams if stream.begun and (seq := stream.settled) is not None]
        return min(settled, default=self._latest)

    def dispatch(self, events: Sequence[SizedEvent]) -> None:
        """Give events to every stream that wants them."""
        streams = self.streams
        for stream in streams:
            stream.feed(events)
        self._latest = events[-1][0].seq or self._latest
        if not streams:
            self._on_unwanted()

    def disconnected(self, reason: str) -> None:
        """Tell every stream that the guest is gone, or forgot the subscription."""
        for stream in self.streams:
            stream.disconnected(reason)

    def end(self, error: GuestmuxError | RemoteError) -> None:
        """End every stream."""
        for stream in self.streams:
            stream.end(error)

    def _since(self) -> Position | None:
        """The earliest position of a stream; a later stream passes over what it had."""
        streams = [stream for stream in self.streams if stream.position is not None]
        current = {stream.position.epoch for stream in streams if stream.begun and stream.position}
        positions = [stream.position for stream in streams if stream.position is not None]

        def age(position: Position) -> tuple[bool, int]:
            # To a position in another journal the guest answers with all that it has.
            return position.epoch in current, position.seq

        return min(positions, key=age, default=None)
