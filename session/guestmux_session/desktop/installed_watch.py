"""Tells hosts what was installed and removed beside the guest's package manager, while some host wants to know."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio

from guestmux_protocol.events import PackagesChanged
from guestmux_protocol.installed_commands import Scope
from guestmux_protocol.packages import Manager, Package, changes
from guestmux_session.desktop.app_places import Place, places_of
from guestmux_session.desktop.desktop_file import SUFFIX
from guestmux_session.desktop.installed import EVENT
from guestmux_session.desktop.installed_apps import installed_apps
from guestmux_session.errors import Disconnected, NotRegistered
from guestmux_session.news import News
from guestmux_session.pulse import Pulse
from guestmux_session.telling import EventHost, tell
from guestmux_transport.directory_watch import DirectoryWatch

QUIET_SECONDS = 2.0
"""Seconds without a change after which what happened is told: an installation comes in many steps."""

MAX_QUIET_SECONDS = 60.0
"""...and after this it is told in any case."""

REST_SHARE = 20
"""Times as long as reading took nothing is read again: who writes desktop files without end costs a twentieth of a
processor."""

MAX_SHOWN = 50
"""Applications of each kind of change that one event tells of: with long names it is as much as eventd takes."""

_MANAGERS: dict[str, Manager] = {"user": "desktop-files", "flatpak": "flatpak", "snap": "snap"}
"""By origin. The rest is the guest's package manager's, of which eventd tells."""

Known = Mapping[tuple[Manager, Scope], frozenset[Package]]

logger = logging.getLogger(__name__)


class InstalledWatch:
    """Follows the folders that desktop files are in.

    Args:
        host: whom events go to.
        environment: gives the session's variables.
    """

    def __init__(self, host: EventHost, environment: Callable[[], Awaitable[Mapping[str, str]]]) -> None:
        self._host = host
        self._environment = environment
        self._trouble = News(logger, "installed applications")

    async def run(self) -> None:
        """Watch for as long as somebody wants to know."""
        environment = await self._environment()
        places = [place for place in places_of(environment) if place.origin in _MANAGERS]
        changed = Pulse()
        known: Known | None = None
        while True:
            with watched(places, changed.beat):
                seen, began = changed.count, anyio.current_time()
                now = await asyncio.to_thread(_read, places, environment)
                took = anyio.current_time() - began
                try:
                    for event in _events(known, now):
                        await tell(self._host, EVENT, event, self._trouble)
                except (Disconnected, NotRegistered):
                    # With the next registration all begins anew.
                    return
                known = now
                await changed.wait_beyond(seen)
                await anyio.sleep(min(took * REST_SHARE, MAX_QUIET_SECONDS))
                await _come_to_rest(changed)


@contextmanager
def watched(places: list[Place], changed: Callable[[], None]) -> Iterator[None]:
    """Have changes in folders told for as long as the block lasts, those included that are not there yet."""
    with ExitStack() as stack:
        for place in places:
            watch = _watch(place.folder, changed)
            if watch is not None:
                stack.callback(watch.close)
        yield


def _watch(folder: Path, changed: Callable[[], None]) -> DirectoryWatch | None:
    """Watch a folder, or where it is missing the one in which it, or what is above it, would come."""
    there, missing = folder, ""
    while True:
        try:
            watch = DirectoryWatch(there, _concerns(missing), changed)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) or there == there.parent:
                logger.info("%s is not watched: %s", folder, error.strerror)
                return None
            there, missing = there.parent, there.name
            continue
        if not missing or not (there / missing).is_dir():
            return watch
        # It has come meanwhile.
        watch.close()
        there, missing = folder, ""


def _concerns(missing: str) -> Callable[[str], bool]:
    if missing:
        return missing.__eq__
    # Desktop files, and folders of them; not the caches beside them.
    return lambda name: name.endswith(SUFFIX) or "." not in name


async def _come_to_rest(changed: Pulse) -> None:
    with anyio.move_on_after(MAX_QUIET_SECONDS):
        while True:
            with anyio.move_on_after(QUIET_SECONDS) as rest:
                await changed.wait()
            if rest.cancelled_caught:
                return


def _read(places: list[Place], environment: Mapping[str, str]) -> Known:
    found: dict[tuple[Manager, Scope], set[Package]] = {}
    for place in places:
        packages = found.setdefault((_MANAGERS[place.origin], place.scope), set())
        for app in installed_apps([place], environment):
            if not app.hidden:
                packages.add(Package(app.app_id, "", app.version if isinstance(app.version, str) else ""))
    return {key: frozenset(packages) for key, packages in found.items()}


def _events(known: Known | None, now: Known) -> Iterator[PackagesChanged]:
    """What happened; what there was when the first host subscribed was not installed then."""
    if known is None:
        return
    for (manager, scope), packages in now.items():
        event = changes(manager, known[manager, scope], packages, scope=scope, limit=MAX_SHOWN)
        if event is not None:
            yield event
