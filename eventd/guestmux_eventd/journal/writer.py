"""Keeps the journal going: holds what cannot be stored now, tries again, and names what was lost. It blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import islice

from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.gaps import Gap, Reason
from guestmux_eventd.journal.opening import JournalPlace
from guestmux_eventd.journal.runs import Run
from guestmux_eventd.journal.store import Item, JournalStore, last_of
from guestmux_eventd.told import Row

MAX_HELD = 32_768
"""Events held while the disk does not take them: half a minute of 1,000 a second. The ring in memory has them, too."""

MAX_HELD_BYTES = 8 << 20
"""Bytes of these, where they are large."""

RETRY_SECONDS = 30.0
"""Between attempts to use a journal that cannot be used: what makes room or mounts a disk is a person, or a timer."""

logger = logging.getLogger(__name__)


class JournalWriter:
    """The journal of a run, whatever happens to its files. For one thread.

    Args:
        place: where it is.
        now: a clock that only goes forward, in seconds.
        changed: called when `fault` or `collides` has changed.
        standing: gives what hosts were told that still holds, by all events that there were; from this thread.

    Attributes:
        fault: why it cannot be written; None: it can.
        runs: those that are known, the oldest first; nothing before the journal was opened for this run.
        collides: the journal has used numbers of this run already, since it could not be read when the run began; a run
            with this number as its first is needed. 0: all is well.
        told: what hosts had been told that still held, when the journal was opened.
    """

    def __init__(
        self,
        place: JournalPlace,
        now: Callable[[], float],
        changed: Callable[[], object] = lambda: None,
        standing: Callable[[], list[Row]] = list,
    ) -> None:
        self.fault: JournalFault | None = None
        self.runs: tuple[Run, ...] = ()
        self.collides = 0
        self.told: list[Row] = []
        self._place = place
        self._now = now
        self._changed = changed
        self._standing = standing
        self._standing_unsure = False
        self._store: JournalStore | None = None
        self._run: tuple[str, int] | None = None
        self._begun = False
        self._reached = 0
        self._held: list[Item] = []
        self._held_bytes = 0
        self._retry_at = 0.0

    def __repr__(self) -> str:
        return f"<JournalWriter {self._place} {self.fault or 'OK'} {len(self._held)} held>"

    @property
    def readable(self) -> bool:
        """Whether what was stored can be read."""
        return self._store is not None

    def patience(self) -> float | None:
        """Seconds until the next attempt; None: there is nothing to attempt."""
        return None if self.fault is None else max(self._retry_at - self._now(), 0.0)

    def open(self) -> int:
        """Open it, and say which number comes next; 1 where it cannot be read."""
        try:
            self._store = self._place.open()
            self.told = self._store.told
            return self._store.next
        except JournalFault as fault:
            self._failed(fault)
            return 1

    def begin(self, epoch: str, first: int) -> None:
        """End the run, if there is one, and begin another."""
        self.flush()
        if self._begun and self._store is not None:
            self._try(lambda store: store.end(first - 1))
        self._run, self._begun, self._reached, self.collides = (epoch, first), False, first - 1, 0
        # Numbers of a run that the journal never took.
        self._held = [item for item in self._held if last_of(item) >= first]
        self._retry_at = self._now()
        self.flush()

    def check(self) -> None:
        """Look through the journal for damage."""
        self._try(JournalStore.check)

    def reserve(self, number: int) -> None:
        """See that a number far from those that are stored is not used twice, whatever happens."""
        if self._begun:
            self._try(lambda store: store.reserve(number))

    def write(self, items: Sequence[Item]) -> None:
        """Store these, now or when it is possible."""
        for item in items:
            self._hold(item)
        self.flush()

    def flush(self) -> None:
        """Store what is held, if it is time to try."""
        if self._run is None or (self.fault is not None and self._now() < self._retry_at):
            return
        try:
            self._store_held(*self._run)
        except JournalFault as fault:
            self._failed(fault)
        else:
            self._recovered()

    def read(self, after: int, upto: int, limit: int) -> list[Item]:
        """The next events and gaps, as `JournalStore.read`, with those that are held.

        Raises:
            JournalFault: it cannot be read.
        """
        self.flush()
        try:
            items = self._readable_store().read(after, upto, limit)
        except JournalFault as fault:
            if fault is not self.fault:
                self._failed(fault)
            raise
        if len(items) < limit:
            begun = last_of(items[-1]) if items else after
            held = (item for item in self._held if begun < last_of(item) and _first(item) <= upto)
            items += [_cut(item, upto) for item in islice(held, limit - len(items))]
        return items

    def close(self, last: int) -> None:
        """End the run cleanly, if that can be.

        Args:
            last: the last number that it used.
        """
        self._retry_at = self._now()
        self.flush()
        if self._begun and self.fault is None:
            self._try(lambda store: store.end(last))
        self._let_go()
        self._run = None

    def _store_held(self, epoch: str, first: int) -> None:
        if self._store is None:
            self._store = self._place.open()
        if not self._begun:
            self._begin(self._store, epoch, first)
        if self._held:
            self._store.append(self._held)
            self._reached = last_of(self._held[-1])
            self._held, self._held_bytes = [], 0
        if self._standing_unsure:
            self._store.stand(self._standing())
            self._standing_unsure = False

    def _begin(self, store: JournalStore, epoch: str, first: int) -> None:
        known = any(run.epoch == epoch for run in store.runs)
        if not known and store.next > first:
            self.collides = store.next
            raise JournalFault(
                "numbers", f"{self._place.files.path}: has numbers up to {store.next - 1} already"
            )
        store.begin(epoch, first, self._reached)
        self._begun = self._standing_unsure = True
        self.runs = store.runs

    def _readable_store(self) -> JournalStore:
        if self._store is None:
            assert self.fault is not None
            raise self.fault
        return self._store

    def _try(self, work: Callable[[JournalStore], None]) -> None:
        if self._store is None:
            return
        try:
            work(self._store)
        except JournalFault as fault:
            self._failed(fault)

    def _failed(self, fault: JournalFault) -> None:
        if self.fault is None or self.fault.kind != fault.kind:
            logger.warning("%s; events are kept in memory only", fault)
        anew = fault.kind == "corrupt" and (self.fault is None or self.fault.kind != "corrupt")
        removed = fault.kind == "absent" and self._store is not None
        self.fault = fault
        self._changed()
        self._retry_at = self._now() + RETRY_SECONDS
        if fault.kind != "full":
            self._let_go()
        if anew:
            self._begin_anew(fault)
        elif removed:
            # Whoever did so may have wanted a new one.
            self._retry_at = self._now()
            self.flush()

    def _begin_anew(self, fault: JournalFault) -> None:
        try:
            self._place.put_aside(fault)
        except JournalFault as other:
            logger.warning("%s; it cannot be put aside", other)
        else:
            self._retry_at = self._now()
            self.flush()

    def _recovered(self) -> None:
        if self.fault is not None:
            logger.info("%s: events are stored again", self._place.files.path)
            self.fault = None
            self._changed()

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._begun = None, False

    def _hold(self, item: Item) -> None:
        self._standing_unsure |= isinstance(item, Gap)
        if len(self._held) < MAX_HELD and self._held_bytes < MAX_HELD_BYTES:
            self._held.append(item)
            self._held_bytes += 0 if isinstance(item, Gap) else item.size
        else:
            self._standing_unsure = True
            self._held[-1] = _joined(self._held[-1], item)


def _joined(tail: Item, item: Item) -> Gap:
    reason: Reason = tail.reason if isinstance(tail, Gap) else "not-stored"
    return Gap(_first(tail), last_of(item), reason)


def _first(item: Item) -> int:
    return item.first if isinstance(item, Gap) else item.seq


def _cut(item: Item, upto: int) -> Item:
    return Gap(item.first, min(item.last, upto), item.reason) if isinstance(item, Gap) else item
