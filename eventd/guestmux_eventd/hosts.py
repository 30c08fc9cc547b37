"""The host connections of all ports, as one: what they want, and when they have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio

from guestmux_eventd.changes import Changes
from guestmux_protocol.patterns import EventFilter


class Listener(Protocol):
    """A host connection, as the registry sees it."""

    @property
    def wanted(self) -> EventFilter | None:
        """What it subscribed to."""

    def has(self, seq: int) -> bool:
        """Whether everything up to this event is on the wire, or will never be."""


class Hosts:
    """Every host that is connected now."""

    def __init__(self) -> None:
        self._hosts: set[Listener] = set()
        self._watchers: list[Callable[[], None]] = []
        self._progress = Changes()

    def __repr__(self) -> str:
        return f"<Hosts {len(self._hosts)} connected>"

    @property
    def connected(self) -> bool:
        """Whether any host is connected."""
        return bool(self._hosts)

    def wanted(self) -> list[str]:
        """The patterns that some host subscribed to."""
        filters = [host.wanted for host in self._hosts if host.wanted is not None]
        return sorted({pattern for wanted in filters for pattern in wanted.patterns})

    def watch(self, changed: Callable[[], None]) -> None:
        """Have `changed` called when a host comes, goes, or changes what it wants."""
        self._watchers.append(changed)

    def add(self, host: Listener) -> None:
        """A host connected."""
        self._hosts.add(host)
        self.changed()

    def remove(self, host: Listener) -> None:
        """A host left."""
        self._hosts.discard(host)
        self.changed()

    def changed(self) -> None:
        """A host changed what it wants."""
        self.progressed()
        for watcher in self._watchers:
            watcher()

    def progressed(self) -> None:
        """A host took something from its port."""
        self._progress.notify()

    async def deliver(self, seq: int, patience: float) -> bool:
        """Wait until every host that wants it has an event.

        Args:
            seq: the event's number.
            patience: seconds to wait.

        Returns:
            whether all have it.
        """
        with anyio.move_on_after(patience):
            while not self._have(seq):
                await self._progress.wait()
        return self._have(seq)

    def _have(self, seq: int) -> bool:
        return all(host.has(seq) for host in self._hosts)
