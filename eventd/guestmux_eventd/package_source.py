"""What is installed, removed and upgraded, told once a package manager has come to rest."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio.to_thread

from guestmux_eventd.changes import Changes
from guestmux_eventd.package_database import Database, DatabaseUnreadable
from guestmux_eventd.session_table import Emission
from guestmux_protocol.packages import Package, changes
from guestmux_transport.directory_watch import DirectoryWatch

QUIET_SECONDS = 2.0
"""A package manager rests when it wrote nothing for so long: one run notes down every step of each package."""

MAX_QUIET_SECONDS = 300.0
"""...and after this what happened so far is told in any case."""

MAX_PACKAGES = 50_000
"""Packages that are looked at: several times a whole distribution's installation."""

logger = logging.getLogger(__name__)


class PackageSource:
    """Follows one package manager.

    Args:
        database: what it keeps.
        publish: takes the events.
    """

    def __init__(self, database: Database, publish: Callable[[list[Emission]], object]) -> None:
        self._database = database
        self._publish = publish
        self._changed = Changes()
        self._stale = False
        self._known: tuple[Package, ...] | None = None

    def __repr__(self) -> str:
        known = "not read" if self._known is None else len(self._known)
        return f"<PackageSource {self._database.manager} {known}>"

    async def run(self) -> None:
        """Publish changes, until cancelled or until there is nothing to watch any more."""
        try:
            watch = DirectoryWatch(self._database.directory, self._database.concerns, self._note_change)
        except OSError as error:
            logger.warning("no PACKAGES_CHANGED of %s: %s", self._database.manager, error.strerror)
            return
        try:
            await self._follow()
        finally:
            watch.close()

    async def _follow(self) -> None:
        while True:
            self._stale = False
            await self._look()
            while not self._stale:
                await self._changed.wait()
            await self._changed.come_to_rest(QUIET_SECONDS, MAX_QUIET_SECONDS)

    def _note_change(self) -> None:
        self._stale = True
        self._changed.notify()

    async def _look(self) -> None:
        try:
            now = await anyio.to_thread.run_sync(self._read)
        except DatabaseUnreadable as error:
            logger.warning("%s: what is installed cannot be read now: %s", self._database.manager, error)
            return
        if self._known is not None and (event := changes(self._database.manager, self._known, now)):
            self._publish([("PACKAGES_CHANGED", event)])
        self._known = now

    def _read(self) -> tuple[Package, ...]:
        return tuple(package for package, _ in zip(self._database.read(), range(MAX_PACKAGES), strict=False))
