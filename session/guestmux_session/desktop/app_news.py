"""Events about applications on their way to eventd: bounded, in order, no start without its exit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestmux_session.pulse import Pulse

if TYPE_CHECKING:
    from guestmux_session.desktop.app_table import AppRef

MANY = 1024
"""Events that wait while eventd takes no more: half a second's at its usual rate. From here on an application that
came and went before anybody was told of it is left out, start and exit; so what waits is bounded by what runs."""

Kind = Literal["started", "exited", "focused"]


@dataclass(frozen=True, slots=True)
class Item:
    """An event to be sent.

    Attributes:
        app: what it is about; None: no application has the focus.
        window: which window, for its title.
    """

    kind: Kind
    app: AppRef | None
    window: Hashable = None


class AppNews:
    """What is to be told.

    Attributes:
        changed: beaten when there is something.
        left_out: applications that came and went unseen.
        silent: what happens is not told: it is how things are at the beginning.
    """

    def __init__(self) -> None:
        self.changed = Pulse()
        self.left_out = 0
        self.silent = False
        self._queue: dict[int, Item] = {}
        self._next = 0
        self._unsent_starts: dict[AppRef, int] = {}
        self._focus: Item | None = None

    def __repr__(self) -> str:
        return f"<AppNews {len(self)} waiting, {self.left_out} left out>"

    def __len__(self) -> int:
        return len(self._queue) + (self._focus is not None)

    def started(self, app: AppRef, window: Hashable) -> None:
        """An application opened its first window."""
        if not self.silent:
            self._unsent_starts[app] = self._next
            self._put(Item("started", app, window))

    def exited(self, app: AppRef) -> None:
        """An application closed its last window."""
        start = self._unsent_starts.pop(app, None)
        if start is not None and len(self._queue) >= MANY:
            del self._queue[start]
            self.left_out += 1
        elif not self.silent:
            self._put(Item("exited", app))

    def focused(self, app: AppRef | None, window: Hashable | None) -> None:
        """Another application, or none, has the focus. Only the last is told."""
        self._focus = Item("focused", app, window)
        self.changed.beat()

    def take(self) -> Item | None:
        """The next to be sent; None: there is nothing."""
        for number in self._queue:
            item = self._queue.pop(number)
            if item.app is not None and self._unsent_starts.get(item.app) == number:
                del self._unsent_starts[item.app]
            return item
        focus, self._focus = self._focus, None
        return focus

    def _put(self, item: Item) -> None:
        self._queue[self._next] = item
        self._next += 1
        self.changed.beat()
