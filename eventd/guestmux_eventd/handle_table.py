"""The open files and started processes of the hosts, by the numbers that they were given. Synchronous: others act."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from guestmux_eventd.agent_table import Agent
from guestmux_protocol.guest.handles import Kind

MAX_KEPT: dict[Kind, int] = {"file": 128, "process": 32}
"""Kept for a port whose hosts come and go; for one more, the longest idle goes. An agent has room for twice that."""

MAX_OWN = 1024
"""Files and processes of one host connection; one more is refused. Commands under way at a time may exceed it."""

MAX_IDLE = 24 * 3600.0
"""Seconds that one is kept for hosts that come and go: what a host may at most give a command (router.MAX_TIMEOUT)."""


@dataclass(eq=False)
class Handle:
    """A file or a process.

    Attributes:
        number: what hosts call it.
        owner: whose it is; nobody else can use it.
        agent: where it is.
        theirs: what that agent calls it.
        used: when it was last used, by the table's clock.
        busy: calls with it under way.
    """

    number: int
    kind: Kind
    owner: Hashable
    agent: Agent
    theirs: int
    used: float
    busy: int = 0

    def __repr__(self) -> str:
        return f"<Handle {self.kind} {self.number} = {self.theirs} of {self.agent.name}>"


class HandleTable:
    """Every open file and every process.

    Args:
        first: the first number to give. It should not be the same after a restart: a host's number of before must
            not stand for something else.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, first: int, clock: Callable[[], float]) -> None:
        self._next = first
        self._clock = clock
        self._handles: dict[int, Handle] = {}
        self._theirs: dict[tuple[object, Kind, int], Handle] = {}
        self._owned: dict[Hashable, dict[int, Handle]] = {}

    def __repr__(self) -> str:
        return f"<HandleTable {len(self._handles)} open>"

    def __len__(self) -> int:
        return len(self._handles)

    def count(self, owner: Hashable) -> int:
        """How many an owner has."""
        return len(self._owned.get(owner, ()))

    def add(self, kind: Kind, owner: Hashable, agent: Agent, theirs: int) -> Handle:
        """Enter what an agent opened or started."""
        key = (agent.presence, kind, theirs)
        if stale := self._theirs.get(key):
            # The agent gave the number anew, so what it stood for is over.
            self.remove(stale)
        handle = Handle(self._next, kind, owner, agent, theirs, self._clock())
        self._next += 1
        self._handles[handle.number] = self._theirs[key] = handle
        self._owned.setdefault(owner, {})[handle.number] = handle
        return handle

    def find(self, owner: Hashable, kind: Kind, untrusted_number: object) -> Handle | None:
        """What a host means; None where that is nothing of its own."""
        handle = self._handles.get(untrusted_number) if type(untrusted_number) is int else None
        return handle if handle and (handle.owner, handle.kind) == (owner, kind) else None

    def touch(self, handle: Handle) -> None:
        """It was used."""
        handle.used = self._clock()

    def remove(self, handle: Handle) -> None:
        """It is over; nothing when it was taken out already."""
        if self._handles.pop(handle.number, None) is None:
            return
        del self._theirs[handle.agent.presence, handle.kind, handle.theirs]
        owned = self._owned[handle.owner]
        del owned[handle.number]
        if not owned:
            del self._owned[handle.owner]

    def take_all(self, owner: Hashable) -> list[Handle]:
        """Take out all of an owner who left."""
        return self._take(list(self._owned.get(owner, {}).values()))

    def take_excess(self, owner: Hashable, kind: Kind) -> list[Handle]:
        """Take out the longest idle of an owner who has more than MAX_KEPT."""
        owned = [handle for handle in self._owned.get(owner, {}).values() if handle.kind == kind]
        excess = max(0, len(owned) - MAX_KEPT[kind])
        idle = sorted((handle for handle in owned if not handle.busy), key=lambda handle: handle.used)
        return self._take(idle[:excess])

    def take_idle(self) -> list[Handle]:
        """Take out what nobody used for MAX_IDLE."""
        latest = self._clock() - MAX_IDLE
        return self._take([h for h in self._handles.values() if not h.busy and h.used <= latest])

    def next_idle(self) -> float | None:
        """Seconds until there may be something to take out; None while the table is empty."""
        if not self._handles:
            return None
        return max(0.0, min(handle.used for handle in self._handles.values()) + MAX_IDLE - self._clock())

    def _take(self, handles: Iterable[Handle]) -> list[Handle]:
        taken = list(handles)
        for handle in taken:
            self.remove(handle)
        return taken
