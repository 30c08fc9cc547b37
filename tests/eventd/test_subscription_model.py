"""Hosts with all kinds of subscriptions, and whatever becomes of the guest: each event comes once, or is named as lost.

The reference is a list of what happened. A crash, a clean end, a frozen or a dead disk, a rolled-back disk, a
rolled-back memory or another machine may come at any step.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import Entry
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.journal.faults import JournalFault
from guestmux_eventd.journal.journal import READ_EVENTS
from guestmux_eventd.journal.store import Item
from guestmux_eventd.position import Since
from guestmux_eventd.subscription import Subscription
from guestmux_protocol.events import EVERY_ONE, STREAM_EVENTS
from guestmux_protocol.patterns import EventFilter
from tests.support.event_guests import EventGuest, Now, Suspended
from tests.support.journals import memory_folder

STORED = ("SESSION_LOGIN", "SESSION_LOCK")
OTHERS = ("APP_STARTED", "APP_FOCUSED", "__org.x_y")
SESSIONS = ("1", "2", None)

Result = TypeVar("Result")
Kind = tuple[str, str | None]


@dataclass(frozen=True)
class Happening:
    """An event."""

    id: int
    epoch: str
    seq: int
    name: str
    session: str | None

    @property
    def kind(self) -> Kind:
        return self.name, self.session

    @property
    def stored(self) -> bool:
        return self.name in EVERY_ONE


@dataclass
class Stream:
    """One subscription, as its host sees it: it goes on over connections and runs."""

    terms: Terms
    since: Since | None
    settled: set[int] = field(default_factory=set)
    """Ids of what came, is named as lost, or need not come."""
    lost: list[tuple[int, int, bool]] = field(default_factory=list)
    """Of the present line of numbers: from, to, and whether only what is not stored."""
    came: set[int] = field(default_factory=set)
    """Ids of what came in the present line of numbers, but for what came late."""
    unacknowledged: int = 0

    def rated(self, name: str) -> bool:
        return name not in EVERY_ONE and any(name in names for names, _ in self.terms.rates)

    def wants(self, event: Happening) -> bool:
        about = self.terms.sessions is None or event.session in (None, *self.terms.sessions)
        return event.name in self.terms.wanted and about


@dataclass
class Host:
    """A host that is there, or away."""

    streams: dict[str, Stream]
    feed: EventFeed | None = None


def subscription_terms(name: str) -> st.SearchStrategy[Terms]:
    return st.builds(
        Terms,
        st.sampled_from(
            [["*"], ["*"], ["SESSION_*"], ["APP_*"], ["SESSION_LOGIN", "__org.*"], ["APP_FOCUSED", "S*_LOCK"]]
        ).map(EventFilter),
        name=st.just(name),
        sessions=st.sampled_from([None, None, frozenset({"1"})]),
        rates=st.sampled_from([(), (), ((EventFilter(["APP_*"]), 1.0),), ((EventFilter(["*"]), 0.1),)]),
        beacon=st.sampled_from([0.0, 0.0, 3.0]),
        window=st.sampled_from([0, 0, 1, 3]),
    )


HOSTS = st.sets(st.sampled_from(["", "a", "b"]), min_size=1, max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: subscription_terms(name) for name in sorted(names)})
)


class Hosts(RuleBasedStateMachine):
    """Every host hears what it asked for, or what it does not hear."""

    hosts: Bundle[Host] = Bundle("hosts")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = memory_folder()
        self.now = Now()
        self.folders = self.runs = self.ids = 0
        self.happened: dict[int, Happening] = {}
        self.kept: set[int] = set()
        """Of what happened, the ids of what is stored, as far as that is certain."""
        self.guest: EventGuest
        self.all_hosts: list[Host] = []
        self.machine = "m"
        self.faulty = False
        self.snapshot: tuple[Path, dict[int, Happening], set[int], str] | None = None
        self.suspended: tuple[Suspended, dict[int, Happening], set[int]] | None = None

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self.disk_answers()
            self.thaw()
            for host in self.all_hosts:
                self.listen_to_the_end(host)
        finally:
            self.run(self.guest.end())
            self.loop.close()
            shutil.rmtree(self.folder)

    # What happens in the guest

    @initialize()
    def boot(self) -> None:
        self._start(self._folder())

    @rule(
        events=st.lists(st.tuples(st.sampled_from(STORED + OTHERS), st.sampled_from(SESSIONS)), max_size=12)
    )
    def happen(self, events: list[tuple[str, str | None]]) -> None:
        for name, session in events:
            self.ids += 1
            data = {"id": self.ids} | ({"session": session} if session else {})
            epoch = self.guest.log.epoch
            seq = self.run(self.guest.append(name, **data))
            self.happened[self.ids] = Happening(self.ids, epoch, seq, name, session)
        self._note_kept()

    @rule(seconds=st.sampled_from([0.5, 4.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now.time += seconds

    @precondition(lambda self: not self.guest.stalled)
    @rule(how=st.sampled_from(["stall", "freeze"]))
    def disk_hangs(self, how: str) -> None:
        if how == "stall":
            self.guest.stall()
        else:
            self.run(self.guest.freeze())

    @precondition(lambda self: self.guest.stalled)
    @rule()
    def disk_answers(self) -> None:
        self.run(self.guest.go_on())
        self.thaw()

    def thaw(self) -> None:
        if self.guest.gate.frozen:
            self.run(self.guest.thaw())
        self._note_kept()

    @rule(
        what=st.sampled_from(
            ["crash", "crash", "end", "take_snapshot", "roll_back", "suspend", "roll_back_memory", "clone"]
        )
    )
    def upset(self, what: str) -> None:
        """As one rule, so that there is something to be lost by it."""
        upsets: dict[str, Callable[[], None]] = {
            "crash": self.crash,
            "end": self.end,
            "take_snapshot": self.take_snapshot,
            "roll_back": self.roll_back,
            "suspend": self.suspend,
            "roll_back_memory": self.roll_back_memory,
            "clone": self.clone,
        }
        upsets[what]()

    def crash(self) -> None:
        left = self.run(self.guest.crash(self._folder()))
        self._start(left)

    def end(self) -> None:
        self.thaw()
        self.run(self.guest.end())
        self._note_kept()
        assert self.guest.directory is not None
        self._start(self.guest.directory)

    def take_snapshot(self) -> None:
        """Of the disk, as a power cut would leave it."""
        assert self.guest.directory is not None
        there = self.guest.suspended(self._folder()).directory
        self.snapshot = there, dict(self.happened), set(self.kept), self.machine

    def roll_back(self) -> None:
        if self.snapshot is None:
            return
        self.run(self.guest.end())
        there, happened, kept, self.machine = self.snapshot
        self.happened, self.kept = dict(happened), set(kept)
        self._start(self._copy(there))

    def suspend(self) -> None:
        """With memory."""
        if not self.guest.stalled:
            state = self.guest.suspended(self._folder())
            self.suspended = state, dict(self.happened), set(self.kept)

    def roll_back_memory(self) -> None:
        """It goes on as if nothing had been. Hosts are there at once: numbers nobody asks about cannot differ."""
        if self.suspended is None:
            return
        self.run(self.guest.end())
        state, happened, kept = self.suspended
        self.happened, self.kept, self.machine = dict(happened), set(kept), state.machine
        self.guest = EventGuest(self._copy(state.directory), state.log.epoch, self.now, machine=self.machine)
        self.run(self.guest.resume(state))
        self._hang_up()
        for host in self.all_hosts:
            self.come_back(host)
            self.listen_to_the_end(host)

    def clone(self) -> None:
        """The disk becomes another machine's, whose journal has nothing."""
        self.run(self.guest.end())
        assert self.guest.directory is not None
        self.machine += "'"
        self.happened.clear()
        self.kept.clear()
        self._start(self.guest.directory)

    # What hosts do

    @rule(target=hosts, all_terms=HOSTS, knows_nothing=st.booleans())
    def come(self, all_terms: dict[str, Terms], knows_nothing: bool) -> Host:
        streams = {}
        for name, terms in all_terms.items():
            if knows_nothing:
                streams[name] = Stream(terms, Since("another guest's", 7))
            else:
                streams[name] = Stream(terms, None, set(self.happened))
        host = Host(streams)
        self.all_hosts.append(host)
        self.come_back(host)
        return host

    @rule(host=hosts)
    def leave(self, host: Host) -> None:
        host.feed = None

    @rule(host=hosts)
    def come_back(self, host: Host) -> None:
        host.feed = self.guest.feed()
        for stream in host.streams.values():
            stream.unacknowledged = 0
            host.feed.subscribe(stream.terms, stream.since)
            self._forgive_rated(stream)
            if stream.since is None:
                stream.since = Since(self.guest.log.epoch, self.guest.log.last)

    @rule(host=hosts, few=st.integers(1, 10), leaves=st.booleans())
    def listen(self, host: Host, few: int, leaves: bool) -> None:
        """For a while. If it leaves, then in the middle of what it was sent."""
        if host.feed is None:
            self.come_back(host)
        while few > 0 and (entries := self._next(host)):
            for entry in entries[: few if leaves else None]:
                self._hear(host, entry)
            few -= len(entries)
        if leaves:
            host.feed = None

    @precondition(lambda self: not self.guest.stalled)
    @rule(host=hosts)
    def listen_to_a_broken_disk(self, host: Host) -> None:
        if host.feed is None:
            self.come_back(host)
        self.faulty = True
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.guest.journal, "read", _cannot_read)
            self._hear_all(host)
        self.faulty = False

    @rule(host=hosts, name=st.sampled_from(["", "a", "b"]))
    def acknowledge(self, host: Host, name: str) -> None:
        if host.feed is not None and (stream := host.streams.get(name)) and stream.since:
            stream.unacknowledged = 0
            host.feed.acknowledge(stream.since.seq, name)

    @precondition(lambda self: not self.guest.stalled)
    @rule(host=hosts)
    def listen_to_the_end(self, host: Host) -> None:
        """Then nothing is missing that has no name."""
        if host.feed is None:
            self.come_back(host)
        self._hear_all(host)
        self.now.time += 20
        while self._hear_all(host):
            self.now.time += 20
        assert host.feed is not None
        assert not host.feed.has_more
        for stream in host.streams.values():
            missing = [
                event
                for event in self.happened.values()
                if stream.wants(event) and event.id not in stream.settled
            ]
            assert not missing, (missing, stream)

    # What must hold

    @invariant()
    def memory_is_bounded(self) -> None:
        for subscription in self._subscriptions():
            assert len(subscription._ready) <= READ_EVENTS
            if subscription.terms.window:
                assert len(subscription._unacknowledged) <= subscription.terms.window

    @invariant()
    def nobody_is_woken_for_nothing(self) -> None:
        for subscription in self._subscriptions():
            if self.guest.gate.frozen and subscription.is_behind and not subscription._ready:
                assert not subscription.has_more

    def _subscriptions(self) -> list[Subscription]:
        feeds = [host.feed for host in self.all_hosts if host.feed is not None]
        return [each for feed in feeds for each in feed._subscriptions.values()]

    def _next(self, host: Host) -> list[Entry]:
        """What it is sent. A disk that hangs is not read from here: a test of its own does."""
        assert host.feed is not None
        before = {each: each.cursor for each in host.feed._subscriptions.values()}
        hangs = self.guest.stalled and not self.guest.gate.frozen
        entries = host.feed.take() if hangs else self.run(host.feed.next())
        for subscription, cursor in before.items():
            assert subscription.cursor >= cursor
        return entries

    def _hear_all(self, host: Host) -> int:
        """How much it was that is no beacon."""
        count = 0
        self._acknowledge_all(host)
        while entries := self._next(host):
            for entry in entries:
                self._hear(host, entry)
                count += entry.name != "BEACON"
            self._acknowledge_all(host)
        return count

    def _hear(self, host: Host, entry: Entry) -> None:
        message = json.loads(entry.line())
        data = message["data"]
        stream = host.streams[data.pop("subscription", "")]
        at = Since(data["epoch"], data["seq"])
        if entry.name == "EVENTS_LOST":
            self._lose(stream, data)
        elif entry.name not in STREAM_EVENTS:
            event = self._happening(data, entry.name)
            assert stream.wants(event)
            self._note(stream, event, late=data.get("late", False))
            if data.get("late"):
                return
        assert stream.since is not None
        if data.get("from") != 0:
            assert at.seq >= stream.since.seq
        stream.since = at

    def _acknowledge_all(self, host: Host) -> None:
        for name in host.streams:
            self.acknowledge(host, name)

    def _happening(self, data: dict[str, Any], name: str) -> Happening:
        """It happened, and is what it was."""
        event = self.happened[data["id"]]
        seen = Happening(data["id"], data["epoch"], data["seq"], name, data.get("session"))
        assert event == seen
        return event

    def _note(self, stream: Stream, event: Happening, *, late: bool) -> None:
        rated = stream.rated(event.name)
        if late:
            assert rated
        else:
            assert stream.since is not None
            assert event.seq > stream.since.seq
            assert event.id not in stream.came
            stream.came.add(event.id)
            stream.unacknowledged += 1
            assert not stream.terms.window or stream.unacknowledged <= stream.terms.window
            for first, last, unstored in stream.lost:
                assert not first <= event.seq <= last or (unstored and event.stored), (event, stream.lost)
        stream.settled.add(event.id)
        if rated:
            earlier = (each for each in self.happened.values() if each.kind == event.kind)
            stream.settled |= {each.id for each in earlier if each.seq <= event.seq}

    def _lose(self, stream: Stream, data: dict[str, Any]) -> None:
        first, last, reason = data["from"], data["to"], data["reason"]
        names = EventFilter(data.get("names", ["*"]))
        assert set(data.get("names", ())) <= set(stream.terms.wanted.patterns)
        unstored = reason in ("slow-reader", "restart")
        assert first <= last or (first, last) == (0, 0)
        assert last <= self.guest.log.last
        if first == 0:
            assert reason in ("new-epoch", "rolled-back")
            stream.lost.clear()
            stream.came.clear()
        else:
            assert stream.since is not None
            assert first > stream.since.seq
            self._check_cause(data, unstored=unstored)
        stream.lost.append((first, last, unstored))
        for event in self.happened.values():
            if first <= event.seq <= last and event.name in names and not (unstored and event.stored):
                stream.settled.add(event.id)

    def _check_cause(self, data: dict[str, Any], *, unstored: bool) -> None:
        """No gap from nowhere."""
        first, last = data["from"], data["to"]
        if unstored:
            assert "names" in data
            assert last < self.guest.log.first
            return
        if data["reason"] == "not-stored":
            assert self.faulty
            return
        assert data["reason"] in ("crash", "expired")
        there = {event.seq for event in self.happened.values() if event.id in self.kept}
        if data["reason"] == "crash":
            assert not any(first <= seq <= last for seq in there)
        else:
            assert last <= max(sorted(there)[: -self.guest.bounds.events // 2 or None], default=0)

    def _forgive_rated(self, stream: Stream) -> None:
        """What was kept back when the connection ended comes again only as long as memory has it."""
        if stream.since is not None:
            for event in self.happened.values():
                gone = event.seq < self.guest.log.first
                if event.seq <= stream.since.seq and gone and stream.rated(event.name):
                    stream.settled.add(event.id)

    def _note_kept(self) -> None:
        if not self.guest.stalled:
            present = (each for each in self.happened.values() if each.epoch == self.guest.log.epoch)
            self.kept |= {event.id for event in present if event.stored}

    def _hang_up(self) -> None:
        for host in self.all_hosts:
            host.feed = None

    def _folder(self) -> Path:
        self.folders += 1
        return self.folder / str(self.folders)

    def _copy(self, directory: Path) -> Path:
        return Path(shutil.copytree(directory, self._folder()))

    def _start(self, directory: Path) -> None:
        self.runs += 1
        self.guest = EventGuest(directory, f"run {self.runs}", self.now, machine=self.machine)
        self.run(self.guest.start())
        self._hang_up()


async def _cannot_read(*_: object) -> list[Item]:
    raise JournalFault("io", "the disk")


TestHosts = Hosts.TestCase
TestHosts.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
