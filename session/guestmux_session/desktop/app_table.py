"""Which applications run, told from their windows: facts in, events out. No I/O, no loop."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from guestmux_session.desktop.app_news import AppNews

MAX_WINDOWS = 4096
"""Windows that are followed, some 300 bytes each: ten times what a person has open. Of more, nothing is told."""


@dataclass(frozen=True, slots=True)
class AppRef:
    """An application that runs: one for each process, or each id where processes are not known.

    Attributes:
        app_id: the desktop file's id, or what its windows call themselves.
        name: for people.
        pid: its process; 0: not known.
    """

    app_id: str
    name: str
    pid: int = 0


@dataclass(slots=True)
class Running:
    """An application and its windows, oldest first."""

    app: AppRef
    windows: dict[Hashable, None] = field(default_factory=dict)


class AppTable:
    """The windows of one source, by whatever the source calls them.

    Args:
        news: is told what follows.

    Attributes:
        truncated: there were more windows than are followed.
    """

    def __init__(self, news: AppNews) -> None:
        self._news = news
        self._windows: dict[Hashable, AppRef] = {}
        self._apps: dict[AppRef, Running] = {}
        self._focused: AppRef | None = None
        self._focus_known = False
        self.truncated = False

    def __repr__(self) -> str:
        return f"<AppTable {len(self._apps)} apps, {len(self._windows)} windows>"

    def __contains__(self, window: Hashable) -> bool:
        return window in self._windows

    def __iter__(self) -> Iterator[Running]:
        """The applications, in the order of their first windows."""
        return iter(self._apps.values())

    @property
    def windows(self) -> set[Hashable]:
        """Those that are followed."""
        return set(self._windows)

    @property
    def focused(self) -> AppRef | None:
        """The application that has the focus."""
        return self._focused

    def opened(self, window: Hashable, app: AppRef) -> None:
        """There is a window, or it is another application's than it was."""
        if self._windows.get(window) == app:
            return
        self.closed(window)
        if len(self._windows) >= MAX_WINDOWS:
            self.truncated = True
            return
        self._windows[window] = app
        running = self._apps.get(app)
        if running is None:
            running = self._apps[app] = Running(app)
            self._news.started(app, window)
        running.windows[window] = None

    def closed(self, window: Hashable) -> None:
        """A window is gone."""
        app = self._windows.pop(window, None)
        if app is None:
            return
        running = self._apps[app]
        del running.windows[window]
        if not running.windows:
            del self._apps[app]
            self._news.exited(app)
            if self._focused == app:
                self.focus(None)

    def focus(self, window: Hashable | None) -> None:
        """A window has the focus; None, or one that is not followed: none has."""
        app = None if window is None else self._windows.get(window)
        if app != self._focused or not self._focus_known:
            self._focused, self._focus_known = app, True
            self._news.focused(app, window)

    def successor(self) -> AppTable:
        """An empty one, for what another connection says; `succeed` tells of what is different there."""
        table = AppTable(self._news)
        table._focused, table._focus_known = self._focused, self._focus_known
        return table

    def succeed(self, known: AppTable) -> None:
        """Tell how what is here differs from what was known before."""
        for app in [app for app in known._apps if app not in self._apps]:
            self._news.exited(app)
        for app in [app for app in self._apps if app not in known._apps]:
            self._news.started(app, next(iter(self._apps[app].windows)))

    def clear(self) -> None:
        """The source knows nothing any more: all of them are gone."""
        for window in [*self._windows]:
            self.closed(window)
        self.truncated = False

    def find(self, app_id: str, pid: int) -> Running | None:
        """An application by its id; of several the one that came last, unless the process is given (not 0)."""
        for running in reversed([*self._apps.values()]):
            if running.app.app_id == app_id and pid in (0, running.app.pid):
                return running
        return None
