"""Edge-triggered epoll inside the asyncio loop: an idle descriptor costs nothing, whatever state it idles in.

asyncio's own readers are level-triggered, so a virtio port without a host (HUP for ever), or one that nobody
reads, wakes the loop again and again. Here the descriptors are in an epoll of their own, each reported once a
change, and only that epoll's descriptor is a reader of the loop.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

READABLE: Final = select.EPOLLIN | select.EPOLLRDHUP
WRITABLE: Final = select.EPOLLOUT
ENDING: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
GONE: Final = select.EPOLLHUP | select.EPOLLERR

EDGES_PER_TURN: Final = 256
"""Descriptors looked after in one turn of the loop; the others stay ready in the kernel."""

_READING: Final = READABLE | select.EPOLLHUP | select.EPOLLET


class Watch:
    """One descriptor under watch; `stop()` before closing the descriptor."""

    def __init__(self, poller: EdgePoller, fd: int, on_edge: Callable[[int], None]) -> None:
        self._poller = poller
        self._fd = fd
        self.on_edge = on_edge
        self.active = True

    def want_writable(self, wanted: bool) -> None:
        """Whether WRITABLE is of interest; where it is by now, an edge comes. Else each read of the peer is one."""
        if self.active:
            self._poller.change(self._fd, wanted)

    def stop(self) -> None:
        """Watch no longer. `on_edge` is not called again, not even for an edge fetched already."""
        if self.active:
            self.active = False
            self._poller.forget(self._fd)


class EdgePoller:
    """The one edge-triggered epoll of a loop.

    Attributes:
        wakeups: how often the loop was woken for it; idleness is measured by this.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watches: dict[int, Watch] = {}
        self._epoll: select.epoll | None = None
        self._edges: deque[tuple[Watch, int]] = deque()
        self._after: list[Callable[[], None]] = []
        self._is_dispatching = False
        self.wakeups = 0

    def watch(self, fd: int, on_edge: Callable[[int], None], *, writable: bool = True) -> Watch:
        """Call `on_edge(events)` in the loop once a change of readiness, beginning with the state of now.

        Args:
            fd: a non-blocking descriptor that supports poll.
            on_edge: takes epoll's event bits; READABLE, WRITABLE and GONE select what is of interest.
            writable: whether WRITABLE is of interest; see `Watch.want_writable`.

        Raises:
            OSError: the descriptor cannot be polled (a regular file), or no descriptors are left.
        """
        epoll = self._epoll or self._start()
        try:
            epoll.register(fd, _READING | WRITABLE if writable else _READING)
        except OSError:
            self._stop_if_unused()
            raise
        self._watches[fd] = watch = Watch(self, fd, on_edge)
        return watch

    @property
    def watched(self) -> int:
        """How many descriptors are under watch."""
        return len(self._watches)

    def change(self, fd: int, writable: bool) -> None:
        """Change what is of interest; called by `Watch.want_writable`."""
        if self._epoll is not None:
            self._epoll.modify(fd, _READING | WRITABLE if writable else _READING)

    def forget(self, fd: int) -> None:
        """Drop a descriptor; called by `Watch.stop`."""
        del self._watches[fd]
        if self._epoll is not None:
            self._epoll.unregister(fd)
        self._stop_if_unused()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back once the edges that are being handed out all were; at any other time, in the next turn."""
        if self._is_dispatching:
            self._after.append(callback)
        else:
            self._loop.call_soon(callback)

    def _start(self) -> select.epoll:
        self._epoll = epoll = select.epoll()
        self._loop.add_reader(epoll.fileno(), self._wake)
        return epoll

    def _stop_if_unused(self) -> None:
        if self._epoll is None or self._watches:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._epoll = None

    def _wake(self) -> None:
        if self._epoll is None:
            return
        self.wakeups += 1
        edges = self._epoll.poll(0, EDGES_PER_TURN)
        # Looked up before any is called: a callback may close a descriptor, and its number be given out anew.
        self._edges.extend([(self._watches[fd], events) for fd, events in edges])
        self._dispatch()

    def _dispatch(self) -> None:
        """Hand out the edges, which come once only: what one callback raises must not cost another its own."""
        self._is_dispatching = True
        try:
            while self._edges:
                watch, events = self._edges.popleft()
                if watch.active:
                    watch.on_edge(events)
            while self._after:
                self._after.pop()()
        finally:
            self._is_dispatching = False
            if self._edges or self._after:
                self._loop.call_soon(self._dispatch)


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, EdgePoller] = WeakKeyDictionary()


def edge_poller() -> EdgePoller:
    """The running loop's poller, made at its first use; it holds no descriptor while nothing is watched."""
    loop = asyncio.get_running_loop()
    poller = _pollers.get(loop)
    if poller is None:
        poller = _pollers[loop] = EdgePoller(loop)
    return poller
