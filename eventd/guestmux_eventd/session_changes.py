"""Changes of sessions and seats that logind signalled and that were not worked off yet, in their order. Synchronous."""

from __future__ import annotations

from collections import deque

from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_signals import Signal


class SessionChanges:
    """What waits, by the object's path.

    Who reads an object anew learns what has become of it, also by changes that wait. So these are worked off before
    the answer is: each is told once, and in its order.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[int, Signal]]] = {}
        self._arrived = 0
        self._owner = ""

    def __repr__(self) -> str:
        return f"<SessionChanges {sum(map(len, self._waiting.values()))} waiting>"

    def put(self, signal: Signal) -> int:
        """Add one that has arrived; returns its place among all.

        There are no more than jobs to work them off, whose queue is bounded.
        """
        self._arrived += 1
        self._waiting.setdefault(signal.path, deque()).append((self._arrived, signal))
        return self._arrived

    def logind_is(self, owner: str) -> None:
        """Another client of the bus is logind from now on."""
        self._owner = owner

    def upto(self, path: str, place: int) -> list[Signal]:
        """Take out those that arrived up to a place."""
        taken = []
        waiting = self._waiting.get(path, deque())
        while waiting and waiting[0][0] <= place:
            taken.append(waiting.popleft()[1])
        if not waiting:
            self._waiting.pop(path, None)
        return taken

    def known_to(self, path: str, reply: Reply) -> list[Signal]:
        """Take out those that were sent before an answer: what it says is what they led to."""
        last = 0
        for place, signal in self._waiting.get(path, ()):
            if not self._is_before(signal, reply):
                break
            last = place
        return self.upto(path, last)

    def forget(self, path: str) -> None:
        """Drop those of a session that is gone."""
        self._waiting.pop(path, None)

    def _is_before(self, signal: Signal, reply: Reply) -> bool:
        if signal.sender == reply.sender:
            return signal.serial < reply.serial
        # What a logind has said that is gone is older than what its successor says.
        return reply.sender == self._owner
