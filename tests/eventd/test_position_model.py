"""Hosts that come and go, a guest that crashes, ends, or is rolled back: each event is heard once or named as lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from guestmux_eventd.event_log import Entry
from guestmux_eventd.journal.bounds import MIN_BYTES, Bounds
from guestmux_eventd.journal.gaps import Gap
from guestmux_eventd.journal.runs import RESERVED, Run
from guestmux_eventd.journal.store import JournalStore, last_of
from guestmux_eventd.position import Kept, Since, plan
from tests.support.journals import copied, event, memory_folder, place

BOUNDS = Bounds(bytes=MIN_BYTES, events=20)
RING = 6
"""Events in memory."""

Id = tuple[str, int]
"""An event's epoch and number."""


@dataclass
class Host:
    """What a host has heard; what is `given` happened before it came, or was checked already."""

    since: Since
    heard: list[Id] = field(default_factory=list)
    lost: list[tuple[int, int, bool]] = field(default_factory=list)
    given: set[Id] = field(default_factory=set)


class Guest:
    """Eventd, as far as it numbers events: a ring, and the journal behind it."""

    def __init__(self, directory: Path, epoch: str) -> None:
        self.directory = directory
        self.store: JournalStore = place(directory, bounds=BOUNDS).open()
        self.first = self.last = 0
        self.ring: list[tuple[Id, bool]] = []
        self.present = Run("", 1, None, 0)
        self.earlier: list[Run] = []
        self.begin(epoch, self.store.next)

    def begin(self, epoch: str, first: int) -> None:
        if self.present.epoch:
            self.store.end(first - 1)
        self.store.begin(epoch, first)
        self.present = Run(epoch, first, None, first - 1)
        self.last = first - 1

    def emit(self, stored: bool) -> Id:
        self.last += 1
        if stored:
            self.store.append([event(self.last)])
        self.ring = [*self.ring, ((self.present.epoch, self.last), stored)][-RING:]
        return self.present.epoch, self.last

    def kept(self) -> Kept:
        first = self.ring[0][0][1] if self.ring else self.present.first
        ended = [run for run in self.store.runs if run.has_ended]
        return Kept((*ended, self.present), first, self.last)


class Hosts(RuleBasedStateMachine):
    """Every host hears all that happened since it was last there, or is told what it does not hear."""

    hosts: Bundle[Host] = Bundle("hosts")

    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.count = 0
        self.epochs = 0
        self.happened: list[tuple[Id, bool]] = []
        self.guest: Guest
        self.all_hosts: list[Host] = []
        self.snapshot: tuple[Path, list[tuple[Id, bool]]] | None = None
        self.suspended: tuple[Path, list[tuple[Id, bool]], Guest] | None = None

    def teardown(self) -> None:
        try:
            for host in self.all_hosts:
                self.listen_to_the_end(host)
        finally:
            self.guest.store.close()
            shutil.rmtree(self.folder)

    @initialize(target=hosts)
    def boot(self) -> Host:
        self._start(self._folder())
        return self.new_host(knows_nothing=False)

    @rule(stored=st.lists(st.booleans(), min_size=1, max_size=15))
    def happen(self, stored: list[bool]) -> None:
        for each in stored:
            self.happened.append((self.guest.emit(each), each))

    @rule(target=hosts, knows_nothing=st.booleans())
    def come(self, knows_nothing: bool) -> Host:
        return self.new_host(knows_nothing=knows_nothing)

    def new_host(self, *, knows_nothing: bool) -> Host:
        if knows_nothing:
            host = Host(Since("another guest's", 7))
        else:
            host = Host(Since(self.guest.present.epoch, self.guest.last), given=self._names())
        self.all_hosts.append(host)
        return host

    @rule(host=hosts, few=st.integers(1, 20))
    def listen(self, host: Host, few: int) -> None:
        """For a while: it may leave after any event."""
        told = plan(self.guest.kept(), host.since)
        if told.needs_new_run:
            self.epochs += 1
            self.guest.begin(f"run {self.epochs}", self.guest.last + 1)
            told = plan(self.guest.kept(), host.since)
        for loss in told.losses:
            host.lost.append((loss.first, loss.last, loss.unstored))
            if not loss.first:
                # It has to begin anew: what it heard before may come again.
                host.heard.clear()
            host.since = loss.stands
        after = told.after
        while few > 0 and after < self.guest.kept().first - 1:
            items = self.guest.store.read(after, self.guest.kept().first - 1, min(few, 5))
            if not items:
                break
            for item in items:
                self._hear(host, item)
            few -= len(items)
            after = last_of(items[-1])
        if few > 0:
            for name, _ in [each for each in self.guest.ring if each[0][1] > after][:few]:
                self._heard(host, name)

    @rule(host=hosts)
    def listen_to_the_end(self, host: Host) -> None:
        """Then nothing is missing that has no name."""
        self.listen(host, 10_000)
        assert len(set(host.heard)) == len(host.heard)
        heard = set(host.heard)
        for name, stored in self.happened:
            named = any(
                first <= name[1] <= last and (not part or not stored) for first, last, part in host.lost
            )
            assert name in heard or name in host.given or named, (name, stored)
        host.given |= self._names()
        host.lost.clear()

    @rule(what=st.sampled_from(["crash", "end", "take_snapshot", "roll_back", "suspend", "roll_back_memory"]))
    def upset(self, what: str) -> None:
        """As one rule, so that there is something to be lost by it."""
        upsets: dict[str, Callable[[], None]] = {
            "crash": self.crash,
            "end": self.end,
            "take_snapshot": self.take_snapshot,
            "roll_back": self.roll_back,
            "suspend": self.suspend,
            "roll_back_memory": self.roll_back_memory,
        }
        upsets[what]()

    def crash(self) -> None:
        there = copied(self.guest.directory, self._folder())
        self.guest.store.close()
        self._start(there)

    def end(self) -> None:
        self.guest.store.end(self.guest.last)
        self.guest.store.close()
        self._start(self.guest.directory)

    def take_snapshot(self) -> None:
        self.snapshot = copied(self.guest.directory, self._folder()), list(self.happened)

    def roll_back(self) -> None:
        """The disk. What happened since has not happened, but for the hosts that heard of it."""
        if self.snapshot is None:
            return
        there, happened = self.snapshot
        self.guest.store.close()
        self.happened = list(happened)
        self._start(copied(there, self._folder()))

    def suspend(self) -> None:
        """With memory."""
        there = copied(self.guest.directory, self._folder())
        self.suspended = there, list(self.happened), copy(self.guest)

    def roll_back_memory(self) -> None:
        """It goes on as if nothing had been. Hosts are there at once: numbers that nobody asks about cannot differ."""
        if self.suspended is None:
            return
        there, happened, guest = self.suspended
        self.guest.store.close()
        self.happened = list(happened)
        self.guest = copy(guest)
        self.guest.directory = copied(there, self._folder())
        self.guest.store = place(self.guest.directory, bounds=BOUNDS).open()
        self.guest.store.begin(guest.present.epoch, guest.present.first)
        for host in self.all_hosts:
            self.listen(host, 10_000)

    def _names(self) -> set[Id]:
        return {name for name, _ in self.happened}

    def _hear(self, host: Host, item: Entry | Gap) -> None:
        if isinstance(item, Gap):
            host.lost.append((item.first, item.last, False))
            host.since = Since(self.guest.kept().epoch_at(item.last), item.last)
        else:
            run = [run for run in self.guest.kept().runs if run.first <= item.seq][-1]
            self._heard(host, (run.epoch, item.seq))

    def _heard(self, host: Host, name: Id) -> None:
        assert name[1] > host.since.seq
        host.heard.append(name)
        host.since = Since(*name)

    def _folder(self) -> Path:
        self.count += 1
        return self.folder / str(self.count)

    def _start(self, directory: Path) -> None:
        self.epochs += 1
        self.guest = Guest(directory, f"run {self.epochs}")


TestHosts = Hosts.TestCase
TestHosts.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_numbers_that_memory_has_forgotten_are_not_given_to_other_events() -> None:
    model = Hosts()
    model.boot()
    [host] = model.all_hosts
    model.suspend()
    model.happen([True, False])
    model.listen_to_the_end(host)
    model.roll_back_memory()
    model.happen([True, False])
    model.listen_to_the_end(host)
    assert host.since == Since("run 2", 2)
    model.teardown()


def test_what_a_crash_took_of_what_is_not_stored_has_a_name() -> None:
    model = Hosts()
    model.boot()
    [host] = model.all_hosts
    model.happen([True, False])
    model.crash()
    model.happen([True])
    model.listen(host, 2)
    assert (host.heard, host.lost) == ([("run 1", 1)], [(1, 1, True), (2, RESERVED, False)])
    model.teardown()
