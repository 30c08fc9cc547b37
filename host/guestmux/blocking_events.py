"""A stream of events, for scripts without async."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from anyio.from_thread import BlockingPortal

from guestmux.event import Item
from guestmux.stream import EventStream as AsyncEventStream
from guestmux_protocol.commands import Position, Snapshot


class EventStream:
    """Iterate over it for events, and for what became of the stream; see `guestmux.EventStream`.

    Args:
        portal: runs what waits.
        stream: the stream.
        timeout: seconds after which the iteration ends; None: never.
    """

    def __init__(self, portal: BlockingPortal, stream: AsyncEventStream, timeout: float | None) -> None:
        self._portal = portal
        self._stream = stream
        self._timeout = timeout
        self._deadline: float | None = None

    def __repr__(self) -> str:
        return f"<blocking {self._stream!r}>"

    @property
    def snapshot(self) -> Snapshot:
        """The guest's sessions when the stream began."""
        return self._portal.call(self._stream.begin)

    @property
    def position(self) -> Position | None:
        """Where the consumer is, what it was given last included; give it as `since` to continue later."""
        return self._stream.position

    @property
    def committed(self) -> Position | None:
        """Up to where the consumer is done."""
        return self._stream.committed

    def commit(self) -> None:
        """Say that what was given last is done with; see `guestmux.EventStream.commit`."""
        self._portal.call(self._stream.commit)

    def close(self) -> None:
        """Take no more events."""
        self._portal.call(self._stream.aclose)

    def __enter__(self) -> Self:
        self._portal.call(self._stream.begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal.call(self._stream.__aexit__, kind, error, traceback)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        item = self._portal.call(self._next)
        if item is None:
            raise StopIteration
        return item

    async def _next(self) -> Item | None:
        if self._timeout is not None and self._deadline is None:
            self._deadline = anyio.current_time() + self._timeout
        with anyio.CancelScope(deadline=float("inf") if self._deadline is None else self._deadline):
            return await anext(self._stream, None)
        return None
