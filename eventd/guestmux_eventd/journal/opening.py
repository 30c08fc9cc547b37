"""How a journal is opened, and what becomes of one that cannot go on."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from guestmux_eventd.event_log import Clock
from guestmux_eventd.journal import schema
from guestmux_eventd.journal.bounds import Bounds
from guestmux_eventd.journal.faults import JournalFault, from_sqlite
from guestmux_eventd.journal.files import JournalFiles
from guestmux_eventd.journal.store import JournalStore

logger = logging.getLogger(__name__)


class JournalPlace:
    """Where the journal is, and how it is to be.

    Args:
        directory: systemd's StateDirectory.
        machine: the text of /etc/machine-id, in which clones of a machine differ.
        bounds: what it keeps to.
        clock: for the age of events; seconds since the epoch.
    """

    def __init__(self, directory: Path, machine: str, bounds: Bounds, clock: Clock) -> None:
        self.files = JournalFiles(directory)
        self._machine = machine
        self._bounds = bounds
        self._clock = clock

    def __repr__(self) -> str:
        return f"<JournalPlace {self.files.path}>"

    @property
    def told_bytes(self) -> int:
        """Room for what hosts were told that still holds."""
        return self._bounds.told_bytes

    def open(self) -> JournalStore:
        """Open the journal; make one where there is none.

        One that is damaged is put aside; one of another machine is removed, since its events are not ours to tell.

        Raises:
            JournalFault: there can be none now.
        """
        try:
            store = self._open()
        except JournalFault as fault:
            if fault.kind != "corrupt":
                raise
            self.put_aside(fault)
            return self._open()
        if store.machine == self._machine:
            return store
        store.close()
        self.files.remove()
        logger.warning("%s: it was another machine's; a new one is begun", self.files.path)
        return self._open()

    def put_aside(self, fault: JournalFault) -> None:
        """Make place for a new journal.

        Raises:
            JournalFault: it stays where it is.
        """
        aside = self.files.put_aside()
        logger.error("%s: put aside as %s, a new one is begun", fault, aside.name)

    def _open(self) -> JournalStore:
        self.files.prepare()
        store = JournalStore(self.files, self._connect(), self._bounds, self._clock)
        try:
            # What stands in the few rows that everything hangs on is found out at once.
            _ = store.machine, store.runs, store.next, store.told
            store.settle()
        except JournalFault as fault:
            if fault.kind != "full":
                store.close()
                raise
        return store

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = schema.connect(self.files.path)
        except sqlite3.Error as error:
            raise from_sqlite(error, self.files.path) from error
        try:
            if schema.is_empty(connection):
                schema.create(connection, self._machine)
            schema.check_tables(connection, self.files.path)
        except sqlite3.Error as error:
            connection.close()
            raise from_sqlite(error, self.files.path) from error
        except JournalFault:
            connection.close()
            raise
        return connection
