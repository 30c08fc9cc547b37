"""Streams against a guest that is a list: nothing comes twice, and what does not come is told, whatever happens when.

The guest restarts, is killed before it stored what it sent, is set back to an earlier state of its disk or memory,
the latter with the connection up as well, loses its journal, and keeps only so much. The consumer is slow, waits, or
is killed and goes on where its cursor is. In mux answers overtake events, in JSON they do not.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guestmux.cursor import Cursor
from guestmux.event import Event, Gap, Item
from guestmux.hub import EventHub
from guestmux.selection import Selection
from guestmux.stream import EventStream
from guestmux_protocol.commands import Position

BREAKS = ("rolled-back", "new-epoch")
"""Reasons after which lower numbers may come."""

Seen = tuple[str, int, int]
"""Epoch and number of an event, and how many there were before in truth."""


@dataclass
class Run:
    """One start of the guest: its first number, and the last one that it may have given out."""

    epoch: str
    first: int
    bound: int | None = None


@dataclass
class History:
    """What the guest knows: events, and numbers that are gone."""

    runs: list[Run]
    events: list[tuple[int, str, str, int]] = field(default_factory=list)
    crashed: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0
    first_kept: int = 1

    def copy(self) -> History:
        runs = [Run(run.epoch, run.first, run.bound) for run in self.runs]
        return History(runs, [*self.events], [*self.crashed], self.last, self.first_kept)

    def epoch_at(self, seq: int) -> str:
        behind = bisect_right([run.first for run in self.runs], seq + 1)
        return self.runs[max(behind - 1, 0)].epoch


@dataclass
class Wire:
    """What one subscription has under way."""

    wanted: set[str]
    events: deque[Event] = field(default_factory=deque)

    def copy(self) -> Wire:
        return Wire({*self.wanted}, deque(self.events))


@dataclass
class Saved:
    """What a snapshot of the running guest has."""

    history: History
    wires: dict[str, Wire]
    connection: int

    @property
    def terms(self) -> dict[str, set[str]]:
        return {name: wire.wanted for name, wire in self.wires.items()}


class ModelGuest:
    """The guest's side of docs/events.md, as simple as can be.

    Args:
        overtaken: whether answers overtake events.
    """

    def __init__(self, *, overtaken: bool) -> None:
        self.overtaken = overtaken
        self.started = 0
        self.history = History([])
        self.emitted: set[Seen] = set()
        self.set_back: set[str] = set()
        self.begin_run(1)
        self.wires: dict[str, Wire] = {}

    @property
    def terms(self) -> dict[str, set[str]]:
        return {name: wire.wanted for name, wire in self.wires.items()}

    def begin_run(self, first: int) -> None:
        if self.history.runs:
            self.history.runs[-1].bound = first - 1
        self.started += 1
        self.history.runs.append(Run(f"run-{self.started}", first))

    def emit(self, name: str) -> None:
        history = self.history
        history.last += 1
        epoch = history.runs[-1].epoch
        history.events.append((history.last, epoch, name, len(self.emitted)))
        self.emitted.add((epoch, history.last, len(self.emitted)))
        for wire in self.wires.values():
            if name in wire.wanted:
                wire.events.append(self.event(*history.events[-1]))

    def event(self, seq: int, epoch: str, name: str, count: int) -> Event:
        return Event(name, {"epoch": epoch, "seq": seq, "count": count})

    def lost(self, first: int, last: int, reason: str) -> Event:
        stands = {"epoch": self.history.epoch_at(last), "seq": last}
        return Event("EVENTS_LOST", {**stands, "from": first, "to": last, "reason": reason})

    def subscribe(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name, wire = arguments.get("subscription", ""), Wire(set(arguments["events"]))
        after = self.history.last
        if since := arguments.get("since"):
            after = self.plan(wire, since["epoch"], since["seq"])
        self.send_after(wire, after)
        if self.overtaken and (before := self.wires.get(name)):
            wire.events.extendleft(reversed(before.events))
        self.wires[name] = wire
        latest = {"epoch": self.history.runs[-1].epoch, "seq": self.history.last}
        return {**latest, "snapshot": {"sessions": []}}

    def plan(self, wire: Wire, epoch: str, seq: int) -> int:
        known = {run.epoch: run for run in self.history.runs}
        run = known.get(epoch)
        if run is None:
            after = self.history.runs[0].first - 1
            wire.events.append(self.lost(0, after, "new-epoch"))
            return after
        bound = self.history.last if run.bound is None else run.bound
        if seq <= bound:
            return seq
        if run.bound is None:
            self.begin_run(self.history.last + 1)
        wire.events.append(self.lost(0, bound, "rolled-back"))
        return bound

    def send_after(self, wire: Wire, after: int) -> None:
        if after < self.history.first_kept - 1:
            wire.events.append(self.lost(after + 1, self.history.first_kept - 1, "expired"))
            after = self.history.first_kept - 1
        parts: list[tuple[int, Any]] = [(seq, (seq, *rest)) for seq, *rest in self.history.events]
        parts += [(last, (first, last)) for first, last in self.history.crashed]
        for seq, part in sorted(parts, key=lambda found: found[0]):
            if seq <= after:
                continue
            if len(part) == 2:
                wire.events.append(self.lost(max(part[0], after + 1), part[1], "crash"))
            elif part[2] in wire.wanted:
                wire.events.append(self.event(*part))

    def stop(self) -> None:
        self.wires.clear()

    def restart(self) -> None:
        self.stop()
        self.begin_run(self.history.last + 1)

    def crash(self, unstored: int) -> None:
        """The latest events were not on disk; their numbers, and one more for safety, are not given out again."""
        self.stop()
        history = self.history
        kept = max(history.last - unstored, history.runs[-1].first - 1)
        history.events = [event for event in history.events if event[0] <= kept]
        history.last += 1
        history.crashed.append((kept + 1, history.last))
        self.begin_run(history.last + 1)

    def roll_back(self, to: History, *, memory: bool) -> None:
        """The disk of an earlier day, or the memory as well, in which the run goes on as if nothing had been."""
        self.stop()
        self.history = to.copy()
        if memory:
            self.set_back.add(self.history.runs[-1].epoch)
        else:
            self.begin_run(self.history.last + 1)

    def set_back_live(self, to: Saved) -> None:
        """Its memory, with what was subscribed to and not sent yet, while the host stays connected."""
        self.history = to.history.copy()
        self.set_back.add(self.history.runs[-1].epoch)
        self.wires = {name: wire.copy() for name, wire in to.wires.items()}

    def expire(self, keep: int) -> None:
        history = self.history
        history.first_kept = max(history.first_kept, history.last + 1 - keep)
        history.events = [event for event in history.events if event[0] >= history.first_kept]
        history.crashed = [gap for gap in history.crashed if gap[1] >= history.first_kept]


class KeptInMemory(Cursor):
    """A cursor whose disk is as fast as can be."""

    def __init__(self) -> None:
        super().__init__("/nosuch")
        self.kept: Position | None = None

    def note(self, position: Position | Event) -> None:
        assert position.seq is not None
        self.kept = Position(epoch=position.epoch, seq=position.seq)


class Nobody:
    """A source that is not asked."""

    async def begin(self, stream: EventStream) -> None:
        raise AssertionError("it was begun")

    def wake(self) -> None:
        """Nothing."""


class Consumer:
    """One consumer's lives, and all that it was told."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self.patterns = patterns
        self.cursor = KeptInMemory()
        self.stream = EventStream(Nobody(), Selection(patterns), cursor=self.cursor)
        self.waiting: asyncio.Task[Item] | None = None
        self.given: set[Seen] = set()
        self.here: set[Seen] = set()
        self.last = 0
        self.told: list[Gap] = []
        self.lost: set[Seen] = set()
        self.begun_at: int | None = None

    def live_again(self) -> None:
        if self.waiting:
            self.waiting.cancel()
            self.waiting = None
        self.here, self.last = set(), 0
        self.stream = EventStream(Nobody(), Selection(self.patterns), self.cursor.kept, cursor=self.cursor)

    def take(self, item: Item, guest: ModelGuest) -> None:
        if isinstance(item, Event):
            assert item.seq is not None
            assert item.seq > self.last, "in order"
            seen = (item.epoch, item.seq, item.data["count"])
            # Nobody can tell numbers of a run whose memory was set back from those of before.
            assert seen not in self.here or item.epoch in guest.set_back, "once"
            self.last = item.seq
            self.here.add(seen)
            self.given.add(seen)
        elif isinstance(item, Gap):
            self.told.append(item)
            self.lost |= {seen for seen in guest.emitted if item.first <= seen[1] <= item.last}
            if item.reason in BREAKS:
                self.last = item.last
                # What follows it may have been told before, of the same runs as well.
                self.here = {seen for seen in self.here if seen[1] <= item.last}
                if guest.overtaken:
                    # Asked anew before it came to this, the guest tells it again, and all that follows.
                    self.here.clear()


class Scenario:
    """Two consumers of different patterns. Each method takes a number, and does something.

    They share a subscription as long as they are where the other is; see EventHub.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, overtaken: bool) -> None:
        self.loop = loop
        self.guest = ModelGuest(overtaken=overtaken)
        self.hub = EventHub(lambda _: None)
        self.consumers = [Consumer(("X",)), Consumer(("X", "Y"))]
        self.saved: list[Saved] = []
        self.connection = 0
        self.harmed = self.killed = self.unseen = self.blurred = False
        for consumer in self.consumers:
            self.hub.add(consumer.stream)
        self.subscribe()

    def emit(self, number: int) -> None:
        for _ in range(1 + number // 3):
            self.guest.emit("XYZ"[number % 3])

    def send(self, number: int) -> None:
        self.pass_on(number + 1)

    def take(self, number: int) -> None:
        for _ in range(1 + number // 2):
            self.take_one(self.consumers[number % 2])

    def join(self, number: int) -> None:
        """One more, who begins with the present while what the others have not got yet comes again."""
        for consumer in self.consumers[2:]:
            consumer.live_again()
        self.consumers[2:] = [Consumer(("X", "Z"))]
        self.hub.add(self.consumers[2].stream)
        self.subscribe()

    def kill(self, number: int) -> None:
        """The process of both: all goes on from their cursors."""
        self.cut()
        self.killed = True
        self.hub = EventHub(lambda _: None)
        for consumer in self.consumers[2:]:
            consumer.live_again()
        del self.consumers[2:]
        for consumer in self.consumers:
            consumer.live_again()
            self.hub.add(consumer.stream)
        self.run_loop()
        self.subscribe()

    def begin_again(self, number: int) -> None:
        """Both, while the connection stays up: some of what is under way comes to nobody, the rest to them."""
        for consumer in self.consumers:
            consumer.live_again()
        del self.consumers[2:]
        self.run_loop()
        for wire in self.guest.wires.values():
            for _ in range(min(number, len(wire.events))):
                wire.events.popleft()
        for name in self.hub.take_deserted():
            self.guest.wires.pop(name, None)
        for consumer in self.consumers:
            self.hub.add(consumer.stream)
        self.run_loop()
        self.subscribe()

    def lose_connection(self, number: int = 0) -> None:
        self.cut()
        self.hub.disconnected("gone")

    def cut(self) -> None:
        """Whoever comes when memory that was set back has caught up cannot be told from one that missed nothing."""
        self.blurred |= self.unseen
        self.unseen = False
        self.connection += 1
        self.guest.stop()

    def leave(self) -> None:
        """What the host does that has found out."""
        self.unseen = False
        self.lose_connection()
        self.guest.begin_run(self.guest.history.last + 1)
        self.subscribe()

    def renew(self, number: int) -> None:
        self.subscribe()

    def restart(self, number: int) -> None:
        self.lose_connection()
        self.guest.restart()

    def crash(self, number: int) -> None:
        self.lose_connection()
        self.harmed = True
        self.guest.crash(number // 2)

    def save(self, number: int) -> None:
        wires = {name: wire.copy() for name, wire in self.guest.wires.items()}
        self.saved.append(Saved(self.guest.history.copy(), wires, self.connection))

    def roll_back(self, number: int) -> None:
        """The disk of an earlier day; or the memory as well, seen only by who comes before it has caught up."""
        memory = number % 2 == 0
        places = {consumer.stream.reached for consumer in self.consumers}
        if not self.saved or (memory and len(places) > 1):
            return
        self.lose_connection()
        self.harmed = True
        self.blurred |= memory
        self.guest.roll_back(self.saved[number % len(self.saved)].history, memory=memory)
        if memory:
            self.subscribe()

    def set_back_live(self, number: int) -> None:
        """Memory and disk of an earlier moment, while the connection stays up: `loadvm`."""
        if not self.saved:
            return
        self.harmed = True
        self.pass_on(number)
        saved = self.saved[number % len(self.saved)]
        same = self.guest.wires and saved.connection == self.connection and saved.terms == self.guest.terms
        self.guest.set_back_live(saved)
        if same:
            self.unseen = True
        else:
            # What it says makes no sense on this connection, or its silence makes the host ask.
            self.lose_connection()
            self.subscribe()

    def lose_journal(self, number: int) -> None:
        self.lose_connection()
        self.harmed = True
        self.guest.history = History([])
        self.guest.begin_run(1)

    def expire(self, number: int) -> None:
        self.lose_connection()
        self.harmed = True
        self.guest.expire(number)

    def settle(self, number: int = 0) -> None:
        """Everything comes, and everybody takes it; then all is there."""
        if not self.guest.wires:
            self.subscribe()
        while any(self.guest.wires[group.name].events for group in self.hub.groups):
            self.pass_on(1 << 20)
        for consumer in self.consumers:
            while consumer.waiting is None:
                self.take_one(consumer)
        self.check_complete()

    def subscribe(self) -> None:
        if self.hub.shared.interrupted:
            self.hub.separate()
        for group in self.hub.groups:
            take_answer = group.on_subscribed()
            take_answer(self.guest.subscribe(group.arguments()))
            if self.hub.is_set_back:
                return self.leave()
        for consumer in self.consumers:
            if consumer.begun_at is None and (begun_at := consumer.stream.position):
                consumer.begun_at, consumer.last = len(self.guest.emitted), begun_at.seq
                consumer.cursor.note(begun_at)
        return None

    def pass_on(self, count: int) -> None:
        for group in self.hub.groups:
            if wire := self.guest.wires.get(group.name):
                events = [wire.events.popleft() for _ in range(min(count, len(wire.events)))]
                if events:
                    group.feed([(event, 10) for event in events])
                if self.hub.is_set_back:
                    self.leave()
                    break
        self.run_loop()

    def take_one(self, consumer: Consumer) -> None:
        if consumer.waiting is None:
            consumer.waiting = self.loop.create_task(anext_of(consumer.stream))
        self.run_loop()

    def run_loop(self) -> None:
        async def steps() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        self.loop.run_until_complete(steps())
        for consumer in self.consumers:
            if consumer.waiting and consumer.waiting.done():
                consumer.take(consumer.waiting.result(), self.guest)
                consumer.waiting = None

    def check_complete(self) -> None:
        names = Counter(seen[:2] for seen in self.guest.emitted)
        for consumer in self.consumers:
            for seq, epoch, name, count in self.guest.history.events:
                if name in consumer.patterns and count >= (consumer.begun_at or 0):
                    known = (epoch, seq, count) in consumer.given | consumer.lost
                    # Memory was set back, and nobody listened when it caught up: such a number passes for the one from
                    # before.
                    known |= self.blurred and names[epoch, seq] > 1
                    assert known, f"{epoch}:{seq} {name} came to nobody, and nobody said so"

    def check_told(self) -> None:
        for consumer in self.consumers:
            assert self.harmed or not consumer.told, "a gap for no reason"

    def end(self) -> None:
        for consumer in self.consumers:
            consumer.live_again()
        self.run_loop()


async def anext_of(stream: EventStream) -> Item:
    return await anext(stream)


USUAL = ("emit", "emit", "emit", "send", "send", "take", "take", "settle")
RARE = (
    "kill",
    "lose_connection",
    "begin_again",
    "join",
    "renew",
    "restart",
    "crash",
    "save",
    "roll_back",
    "set_back_live",
    "set_back_live",
    "lose_journal",
    "expire",
)
STEPS = st.lists(st.tuples(st.sampled_from(USUAL + RARE), st.integers(0, 5)), max_size=60)


@pytest.mark.parametrize("overtaken", [False, True], ids=["json", "mux"])
@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
@example(steps=[("emit", 0), ("save", 0), ("crash", 0), ("settle", 0), ("roll_back", 1), ("settle", 0)])
@example(
    steps=[
        ("emit", 3),
        ("settle", 0),
        ("save", 0),
        ("emit", 3),
        ("send", 0),
        ("take", 0),
        ("roll_back", 1),
        ("kill", 0),
    ]
)
@example(steps=[("emit", 0), ("settle", 0), ("emit", 0), ("emit", 0), ("begin_again", 1), ("settle", 0)])
@example(steps=[("save", 0), ("emit", 0), ("settle", 0), ("set_back_live", 0), ("emit", 0), ("settle", 0)])
def test_nothing_is_lost_in_silence(overtaken: bool, steps: list[tuple[str, int]]) -> None:
    play(steps, overtaken=overtaken)


def play(steps: list[tuple[str, int]], *, overtaken: bool) -> None:
    loop = asyncio.new_event_loop()
    scenario = Scenario(loop, overtaken=overtaken)
    try:
        for name, number in [*steps, ("settle", 0)]:
            getattr(scenario, name)(number)
        scenario.check_told()
    finally:
        scenario.end()
        loop.close()
