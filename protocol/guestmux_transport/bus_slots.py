"""Shares out the few calls that the system bus lets one connection have open.

dbus-daemon remembers each call until its answer passes by, on the system bus for ever (`reply_timeout` is off),
and refuses a call when 128 are open. So a destination that never answers holds a slot for each call made to it,
even after our deadline, until it leaves the bus. It must not take them all:
- A destination holds at most an eighth of what is *still free* (one is allowed while any is free), so each that
  hoards gets less than the one before, and the last free slots are given out singly.
- One that has several calls unanswered past their deadline gets no more until it answers.
So some thirty processes that never answer are needed to use all up, whatever the number of calls.

Source: dbus-daemon's bus/connection.c, bus_connections_expect_reply; the sharing rule is the dynamic threshold of
shared-memory switches (Choudhury and Hahne, 1998).
"""

import asyncio
from collections import deque

from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.errors import QueueFull

# One destination may hold 1/SHARE of what is free.
SHARE = 8


class Slots:
    """Counts open calls by destination, and queues the calls that have to wait, first come first served."""

    def __init__(self, limits: BusLimits) -> None:
        self._limits = limits
        self._held: dict[str, int] = {}
        self._overdue: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._waiters = 0
        self.total = 0

    def held(self, destination: str) -> int:
        """How many open calls a destination has, those past our deadline included."""
        return self._held.get(destination, 0)

    def take_now(self, destination: str) -> bool:
        """Take a slot if there is one and nobody waits for it."""
        if destination in self._waiting or not self._allowed(destination):
            return False
        self._take(destination)
        return True

    async def take(self, destination: str) -> None:
        """Wait for a slot; cancel it when the call's deadline passes.

        Raises:
            QueueFull: too many calls wait already.
        """
        if self._waiters >= self._limits.waiting_calls:
            raise QueueFull(f"{self._waiters} calls wait for an answer to an earlier one")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(destination, deque())
        queue.append(future)
        self._waiters += 1
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(destination)
            raise
        finally:
            self._forget(destination, future)

    def overdue(self, destination: str) -> None:
        """Note that a call is past its deadline, or its caller gave it up, and is still open."""
        self._overdue[destination] = self._overdue.get(destination, 0) + 1

    def release(self, destination: str, *, overdue: bool = False) -> None:
        """Give a slot back, of an `overdue` call or another, and wake who may now go."""
        self.total -= 1
        _decrease(self._held, destination)
        if overdue:
            _decrease(self._overdue, destination)
        if self._waiting:
            self._wake()

    def _allowed(self, destination: str) -> bool:
        free = self._limits.pending_calls - self.total
        share = min(self._limits.pending_per_destination, max(1, free // SHARE))
        if self._overdue.get(destination, 0) >= self._limits.overdue_per_destination:
            return False
        return free > 0 and self._held.get(destination, 0) < share

    def _take(self, destination: str) -> None:
        self.total += 1
        self._held[destination] = self._held.get(destination, 0) + 1

    def _wake(self) -> None:
        """Give what is free to those that wait, the destinations in turn."""
        for destination in list(self._waiting):
            while self._allowed(destination):
                future = self._next_waiting(destination)
                if future is None:
                    break
                self._take(destination)
                future.set_result(None)

    def _next_waiting(self, destination: str) -> asyncio.Future[None] | None:
        return next((future for future in self._waiting[destination] if not future.done()), None)

    def _forget(self, destination: str, future: asyncio.Future[None]) -> None:
        self._waiters -= 1
        queue = self._waiting[destination]
        queue.remove(future)
        if not queue:
            del self._waiting[destination]


def _decrease(counts: dict[str, int], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
