"""xscreensaver on X11: it follows logind, tells nobody that it has locked, and leaves word of it on the root window.

`_SCREENSAVER_STATUS` begins with the atom LOCK or BLANK, or 0 (xscreensaver-command.c, "watch"). That stays when the
daemon is killed; its window, a child of the root window's with `_SCREENSAVER_VERSION`, does not (driver/remote.c).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.app_source import refresh_on_change
from guestmux_session.desktop.displays import Displays
from guestmux_session.desktop.errors import DisplayError, DisplayUnavailable, RequestRefused
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_selection_wire import DESTROY_NOTIFY, STRUCTURE_NOTIFY_MASK, word
from guestmux_session.pulse import Pulse

MAX_WINDOWS = 1024
"""Children of the root window among which the daemon's is looked for: more than a session has."""

BATCH = 64
"""Windows that are asked about at a time."""

_STATUS, _VERSION, _COMMAND = "_SCREENSAVER_STATUS", "_SCREENSAVER_VERSION", "SCREENSAVER"
_LOCK, _DEACTIVATE = "LOCK", "DEACTIVATE"

_NOBODY = 0


class XScreenSaver:
    """The daemon, if the session has one.

    Args:
        displays: the display servers.
        changed: called when `active` has another value, and when `known` has.

    Attributes:
        active: whether it has locked the screen; None: there was none since it is followed, or nobody follows it.
        known: it has been looked for since it is followed.
    """

    name = "xscreensaver"

    def __init__(self, displays: Displays, changed: Callable[[], None]) -> None:
        self.active: bool | None = None
        self.known = False
        self._displays = displays
        self._changed = changed

    def __repr__(self) -> str:
        return f"<XScreenSaver {self.active}>"

    async def ask(self) -> bool | None:
        """What it says now; None: it does not run.

        Raises:
            DisplayError: the X server cannot be asked.
        """
        if (await self._displays.find()).kind != "x11":
            return None
        async with self._displays.x11() as connection:
            return await _Daemon(connection).locked()

    async def follow(self) -> None:
        """Keep `active` true, until cancelled."""
        backoff = Backoff()
        while True:
            backoff.attempt()
            with suppress(DisplayError):
                await self._follow_one()
            self._set(None)
            await anyio.sleep(backoff.next())

    def forget(self) -> None:
        """Nobody follows it any more."""
        self.active, self.known = None, False

    async def lock(self) -> None:
        """Have it lock. Raises DisplayError."""
        await self._tell(_LOCK)

    async def unlock(self) -> None:
        """Have it ask for the password. Raises DisplayError."""
        await self._tell(_DEACTIVATE)

    async def _follow_one(self) -> None:
        kind = (await self._displays.find()).kind
        if kind == "wayland":
            self._set(None)
            await anyio.sleep_forever()
        if kind == "none":
            raise DisplayUnavailable("the session has no display server")
        async with self._displays.x11() as connection:
            daemon = _Daemon(connection)

            async def look() -> None:
                locked = await daemon.locked()
                # One that was there and has ended locks nothing: the screen is open.
                self._set(False if locked is None and self.active is not None else locked)

            with daemon.watched():
                await refresh_on_change(daemon.changed, look, connection)

    async def _tell(self, command: str) -> None:
        async with self._displays.x11() as connection:
            await _Daemon(connection).tell(command)

    def _set(self, active: bool | None) -> None:
        if active != self.active or not self.known:
            self.active, self.known = active, True
            self._changed()


class _Daemon:
    """The daemon on one connection.

    Attributes:
        changed: beaten when it may say something else, while it is watched.
    """

    def __init__(self, connection: X11Connection) -> None:
        self.changed = Pulse()
        self._connection = connection
        self._root = connection.setup.root
        self._atoms: dict[str, int] = {}
        self._window = _NOBODY
        self._watching = False

    async def locked(self) -> bool | None:
        """Whether the screen is locked; None: there is no daemon."""
        atoms = await self._learn()
        state = (await self._connection.property(self._root, atoms[_STATUS], 1)).numbers
        if not state or await self._find() == _NOBODY:
            return None
        return state[0] == atoms[_LOCK]

    async def tell(self, command: str) -> None:
        """Send it a command."""
        atoms = await self._learn()
        if await self._find() == _NOBODY:
            raise DisplayUnavailable("xscreensaver does not run")
        await self._connection.done(_message(self._window, atoms[_COMMAND], atoms[command]))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hear of what it does, for as long as a block lasts."""
        connection = self._connection
        connection.listen(x11.PROPERTY_NOTIFY, self._on_property, patient=True)
        connection.listen(DESTROY_NOTIFY, self._on_destroyed)
        connection.select_root(x11.PROPERTY_CHANGE_MASK)
        self._watching = True
        try:
            yield
        finally:
            connection.unselect_root(x11.PROPERTY_CHANGE_MASK)
            connection.unlisten(DESTROY_NOTIFY, self._on_destroyed)
            connection.unlisten(x11.PROPERTY_NOTIFY, self._on_property)

    async def _learn(self) -> dict[str, int]:
        self._atoms = await self._connection.atoms(_STATUS, _VERSION, _COMMAND, _LOCK, _DEACTIVATE)
        return self._atoms

    async def _find(self) -> int:
        """Its window, looked for where it is not the one that it was."""
        if not await self._is_daemon(self._window):
            self._window = await self._search()
            if self._watching and self._window != _NOBODY:
                self._connection.tell(x11.select_events(self._window, STRUCTURE_NOTIFY_MASK))
                # Should it have gone meanwhile, that was not told.
                self._window = self._window if await self._is_daemon(self._window) else _NOBODY
        return self._window

    async def _search(self) -> int:
        children = _children(await self._connection.ask(x11.request(15, 0, struct.pack("<I", self._root))))
        for start in range(0, len(children), BATCH):
            some = children[start : start + BATCH]
            for window, found in zip(some, await asyncio.gather(*map(self._is_daemon, some)), strict=True):
                if found:
                    return window
        return _NOBODY

    async def _is_daemon(self, window: int) -> bool:
        if window == _NOBODY:
            return False
        try:
            return bool((await self._connection.property(window, self._atoms[_VERSION], 1)).value)
        except RequestRefused:
            return False

    def _on_property(self, event: bytes) -> None:
        if (word(event, 4), word(event, 8)) == (self._root, self._atoms.get(_STATUS)):
            self.changed.beat()

    def _on_destroyed(self, event: bytes) -> None:
        if word(event, 8) == self._window:
            self.changed.beat()


def _children(reply: bytes) -> list[int]:
    """QueryTree's answer: the windows within one, the lowest first."""
    (count,) = struct.unpack_from("<H", reply, 16)
    return [word(reply, 32 + 4 * number) for number in range(min(count, MAX_WINDOWS))]


def _message(window: int, kind: int, command: int) -> bytes:
    """SendEvent: a client message to whoever made a window."""
    event = struct.pack("<BBHII5I", x11.CLIENT_MESSAGE, 32, 0, window, kind, command, 0, 0, 0, 0)
    return x11.request(25, 0, struct.pack("<II", window, 0) + event)
