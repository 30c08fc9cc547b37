"""A consumer on the host with a cursor file, and what it was told in all of its lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

from guestmux import blocking
from guestmux.blocking_events import EventStream
from guestmux.event import Event, Gap, Item
from tests.vm.emulated import WAIT_SECONDS
from tests.vm.machine import Machine

LOGINS = ("SESSION_LOGIN", "SESSION_LOGOUT")

STREAM_SECONDS = 900.0
"""For all that a test waits for, with boots: of 15 s on an idle machine, of 175 s on one with ten times the work."""

Deed = tuple[str, str]
"""A name of LOGINS, and the session."""

Position = tuple[str, int]
"""An event's epoch and number."""


class Audit:
    """Listens to logins and logouts, and writes them down by their positions, each once.

    Args:
        cursor: the file of its position.

    Attributes:
        items: what it was told since it began; events that came again are left out.
        events: the events of it, by their positions.
    """

    def __init__(self, cursor: Path) -> None:
        self.items: list[Item] = []
        self.events: dict[Position, Event] = {}
        self._cursor = cursor
        self._stream: EventStream | None = None

    def __repr__(self) -> str:
        return f"<Audit {self._cursor.name} {self.items}>"

    @contextmanager
    def connected(self, machine: Machine) -> Iterator[Self]:
        """Listen on a connection of its own for the block."""
        with connected_sdk(machine) as guest, self.listening(guest):
            yield self

    @contextmanager
    def listening(self, guest: blocking.Guest) -> Iterator[Self]:
        """Listen for the block, from where it was."""
        with guest.events(*LOGINS, durable=self._cursor, timeout=STREAM_SECONDS) as self._stream:
            yield self

    def until(self, enough: Callable[[Item], Any]) -> Item:
        """Listen until there is a new item as wanted; gives it.

        Raises:
            AssertionError: it does not come, or an event has the position of another one.
        """
        assert self._stream is not None
        for item in self._stream:
            if self._is_new(item) and enough(item):
                return item
        raise AssertionError(f"it did not come: {self!r}")

    def until_told(self, name: str, session: str, epoch: str = "") -> Event:
        """Listen until a login or logout is told; of that run of eventd's, where it is given."""

        def is_told(item: Item) -> bool:
            return isinstance(item, Event) and deed_of(item) == (name, session) and epoch in ("", item.epoch)

        item = self.until(is_told)
        assert isinstance(item, Event)
        return item

    @property
    def gaps(self) -> list[str]:
        """The reasons of what it was told is missing."""
        return [item.reason for item in self.items if isinstance(item, Gap)]

    def _is_new(self, item: Item) -> bool:
        """Write it down, unless it was told before."""
        if isinstance(item, Event):
            assert item.seq is not None
            known = self.events.setdefault((item.epoch, item.seq), item)
            assert known == item, f"two events with one position: {known}, {item}"
            if known is not item:
                return False
        self.items.append(item)
        return True


def connected_sdk(machine: Machine) -> AbstractContextManager[blocking.Guest]:
    """The SDK, with patience for a machine that was booted or set back just now."""
    return blocking.connect(f"unix:{machine.qemu.socket('qmp')}", timeout=WAIT_SECONDS)


def deed_of(event: Event) -> Deed:
    """What an event tells."""
    return event.name, event.data["session"]


def account(happened: Sequence[Deed], items: Sequence[Item]) -> None:
    """Check that each deed was told once and in order, or is where a gap was told.

    Args:
        happened: what happened while somebody listened or had a position.
        items: what that one was told; deeds of others are left out.

    Raises:
        AssertionError: one is missing without a word, came twice, or not in its turn.
    """
    at, in_gap = 0, False
    for item in items:
        if isinstance(item, Gap):
            in_gap = True
        elif isinstance(item, Event) and "reason" in item.data:
            continue  # no deed: eventd says at its start that a session is over
        elif isinstance(item, Event) and (deed := deed_of(item)) in happened:
            assert deed in happened[at:], f"{deed} is told twice or too late: {happened}, {items}"
            found = happened.index(deed, at)
            assert in_gap or found == at, f"{happened[at:found]} were not told: {items}"
            at, in_gap = found + 1, False
    assert in_gap or at == len(happened), f"{happened[at:]} were not told: {items}"
