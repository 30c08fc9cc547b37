"""Applications by their windows on X11, as the window manager lists them (Extended Window Manager Hints 1.5)."""

from __future__ import annotations

import asyncio
from codecs import getincrementaldecoder
from collections.abc import Hashable, Mapping
from contextlib import suppress
from itertools import chain, islice

from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.app_process import app_of_process
from guestmux_session.desktop.app_source import MAX_TITLE, refresh_on_change
from guestmux_session.desktop.app_table import MAX_WINDOWS, AppRef, AppTable
from guestmux_session.desktop.desktop_entries import MAX_TEXT, DesktopEntries
from guestmux_session.desktop.errors import RequestRefused
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.x11_clients import X11Clients, pid_of
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_selection_wire import STRING
from guestmux_session.pulse import Pulse

BATCH = 64
"""Windows that are asked about at a time: an answer's wait is shared by so many, and none is long."""

_TEXT_LONGS = 128
"""Units of four bytes of a name: a hostile window's may have any length."""

_TITLE_LONGS = MAX_TITLE // 4

_ATOMS = (
    *("_NET_CLIENT_LIST", "_NET_ACTIVE_WINDOW", "_NET_CLOSE_WINDOW", "_NET_WM_PID", "_NET_WM_NAME"),
    *("_NET_WM_WINDOW_TYPE", "_NET_WM_WINDOW_TYPE_DOCK", "_NET_WM_WINDOW_TYPE_DESKTOP"),
    *("_GTK_APPLICATION_ID", "WM_CLASS", "WM_NAME"),
)

_FROM_A_PAGER = 2
"""Who asks, in messages to the window manager: not an application for itself, so that it is not held back."""


class X11Apps:
    """The applications on an X server.

    Args:
        connection: to it.
        entries: what is installed.
        environment: the session's variables.
    """

    name = "x11-ewmh"
    has_windows = True

    def __init__(
        self, connection: X11Connection, entries: DesktopEntries, environment: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._root = connection.setup.root
        self._entries = entries
        self._environment = environment
        self._clients = X11Clients(connection)
        self._changed = Pulse()
        self._atoms: dict[str, int] = {}
        self._watched: frozenset[int] = frozenset()
        # Panels, and what was gone before it could be asked.
        self._left_out: set[int] = set()

    async def load(self, table: AppTable) -> None:
        """Enter the windows that there are."""
        self._atoms = await self._connection.atoms(*_ATOMS)
        self._watched = frozenset(self._atoms[name] for name in ("_NET_CLIENT_LIST", "_NET_ACTIVE_WINDOW"))
        await self._clients.start()
        await self._refresh(table)

    async def follow(self, table: AppTable) -> None:
        """Enter what changes."""
        self._connection.listen(x11.PROPERTY_NOTIFY, self._on_property, patient=True)
        self._connection.select_root(x11.PROPERTY_CHANGE_MASK)
        try:
            await refresh_on_change(self._changed, lambda: self._refresh(table), self._connection)
        finally:
            self._connection.unselect_root(x11.PROPERTY_CHANGE_MASK)
            self._connection.unlisten(x11.PROPERTY_NOTIFY, self._on_property)

    async def title(self, window: Hashable) -> str:
        """What stands in its title bar."""
        assert isinstance(window, int)
        for name in ("_NET_WM_NAME", "WM_NAME"):
            try:
                found = await self._connection.property(window, self._atoms[name], _TITLE_LONGS)
            except RequestRefused:
                return ""
            if found.value:
                return one_line(_text(found), MAX_TITLE)
        return ""

    async def focus(self, window: Hashable) -> None:
        """Ask the window manager to."""
        await self._ask_manager(window, "_NET_ACTIVE_WINDOW", _FROM_A_PAGER)

    async def close(self, window: Hashable) -> None:
        """Ask the window manager to, which asks the application."""
        await self._ask_manager(window, "_NET_CLOSE_WINDOW", 0, _FROM_A_PAGER)

    async def _ask_manager(self, window: Hashable, message: str, *values: int) -> None:
        assert isinstance(window, int)
        self._connection.tell(x11.client_message(self._root, window, self._atoms[message], *values))
        # When this is answered, that has arrived.
        await self._connection.ask(x11.get_input_focus())

    def _on_property(self, untrusted_event: bytes) -> None:
        if int.from_bytes(untrusted_event[8:12], "little") in self._watched:
            self._changed.beat()

    async def _refresh(self, table: AppTable) -> None:
        (listed, truncated), active = await asyncio.gather(self._listed(), self._active())
        for window in table.windows.difference(listed):
            table.closed(window)
        self._left_out.intersection_update(listed)
        new = [window for window in listed if window not in table and window not in self._left_out]
        if new:
            await self._entries.refresh(self._environment)
        for start in range(0, len(new), BATCH):
            some = new[start : start + BATCH]
            for window, app in zip(some, await self._apps_of(some), strict=True):
                self._enter(table, window, app)
        table.truncated = truncated
        table.focus(active)

    async def _listed(self) -> tuple[list[int], bool]:
        found = await self._connection.property(self._root, self._atoms["_NET_CLIENT_LIST"], MAX_WINDOWS)
        return list(dict.fromkeys(found.numbers)), found.left > 0

    async def _active(self) -> int | None:
        found = await self._connection.property(self._root, self._atoms["_NET_ACTIVE_WINDOW"], 1)
        return next(iter(found.numbers), None)

    def _enter(self, table: AppTable, window: int, app: AppRef | None) -> None:
        if app is None:
            self._left_out.add(window)
        else:
            table.opened(window, app)

    async def _apps_of(self, windows: list[int]) -> list[AppRef | None]:
        """Whose windows are; None: nobody's that counts, or it is gone."""
        asked = [self._questions(window) for window in windows]
        answers = iter(await self._connection.ask_all(*chain.from_iterable(asked)))
        return [self._app_of([*islice(answers, len(questions))]) for questions in asked]

    def _questions(self, window: int) -> list[bytes]:
        return [
            x11.get_property(window, self._atoms["_NET_WM_WINDOW_TYPE"], 4),
            x11.get_property(window, self._atoms["_GTK_APPLICATION_ID"], _TEXT_LONGS),
            x11.get_property(window, self._atoms["WM_CLASS"], _TEXT_LONGS),
            x11.get_property(window, self._atoms["_NET_WM_PID"], 1),
            *self._clients.questions(window),
        ]

    def _app_of(self, answers: list[bytes | RequestRefused]) -> AppRef | None:
        replies = [answer for answer in answers if not isinstance(answer, RequestRefused)]
        if len(replies) < len(answers):
            return None
        kinds, gtk_id, names, claimed = map(x11.property_of, replies[:4])
        if {self._atoms["_NET_WM_WINDOW_TYPE_DOCK"], self._atoms["_NET_WM_WINDOW_TYPE_DESKTOP"]} & {
            *kinds.numbers
        }:
            return None
        instance, _, rest = _text(names).partition("\0")
        pid = pid_of(*replies[4:]) or next(iter(claimed.numbers), 0)
        return self._named(_text(gtk_id), rest.partition("\0")[0], instance, pid)

    def _named(self, gtk_id: str, wm_class: str, instance: str, pid: int) -> AppRef:
        by_process = "" if pid == 0 else app_of_process(pid)
        entry = self._entries.of_window(gtk_id, wm_class, instance, by_process)
        if entry is not None:
            return AppRef(entry.app_id, entry.name, pid)
        name = one_line(gtk_id or wm_class or instance or by_process or "unknown", MAX_TEXT)
        return AppRef(name, name, pid)


def _text(found: x11.Property) -> str:
    """Of type STRING it is ISO 8859-1 (ICCCM § 2.7.1), but for the programs that put UTF-8 there."""
    if found.format != 8:
        return ""
    if found.type == STRING:
        with suppress(UnicodeDecodeError):
            # The last letter may have been cut.
            return getincrementaldecoder("utf-8")().decode(found.value, final=not found.left)
        return found.value.decode("latin-1")
    return found.value.decode(errors="replace")
