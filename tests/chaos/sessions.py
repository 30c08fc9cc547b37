"""Whether what a host heard of sessions is what logind did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guestmux_eventd.login_source import LOCKER_PATIENCE
from tests.chaos.hearing import Hearing, Place
from tests.chaos.ledger import Change, Key, Ledger, Sync, Value
from tests.chaos.records import Said
from tests.chaos.stored import Tails

HASTE = 0.05
"""Seconds by which an event may be older than what it tells of, by two readings of one clock."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event, as the ledger has changes.

    Attributes:
        place: its number.
        key: what changed.
        value: what it is now.
        said: the event.
    """

    place: Place
    key: Key
    value: Value
    said: Said


Placed = tuple[int, Change]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happened between two moments at which eventd knew all.

    Attributes:
        before: the first; None for the beginning of the world.
        after: the second.
        changes: what logind did, with its place in the ledger.
        earlier: likewise, before the first moment: what may be told again, since eventd did not remember that it was.
        told: what the host heard.
        whole: eventd must have seen each of these changes, and the host must have heard each.
        lost: some of what eventd saw and stored is in a gap.
    """

    before: Sync | None
    after: Sync
    changes: Sequence[Placed]
    earlier: Sequence[Placed]
    told: list[Told]
    whole: bool
    lost: bool


@dataclass(slots=True)
class Standing:
    """How things stand for a host that has heard so much.

    Attributes:
        known: by all that it heard.
        kept: by that which the next run of eventd knows as well: it was stored.
    """

    known: dict[Key, Value] = field(default_factory=dict)
    kept: dict[Key, Value] = field(default_factory=dict)
    _run: int = -1

    def enter(self, run: int) -> None:
        """What follows is of this run of eventd: it goes on from what was stored."""
        if run > self._run:
            self._run, self.known = run, dict(self.kept)

    def take(self, event: Told, *, stored: bool) -> None:
        """It has heard an event."""
        self.enter(event.place[0])
        for state in (self.known, self.kept) if stored else (self.known,):
            state[event.key] = event.value
            if event.key[1] == "alive" and not event.value:
                for other in ("locked", "idle"):
                    state.pop((event.key[0], other), None)

    def learn(self, truth: dict[Key, Value]) -> None:
        """It was told how things stand."""
        self.known = {key: value for key, value in truth.items() if value}
        self.kept = dict(self.known)


@dataclass(slots=True)
class SessionCheck:
    """The check of one host.

    Attributes:
        hearing: what it heard.
        ledger: what logind did.
        ranks: the runs of eventd, in their order.
        tails: what eventd has told, and not remembered.
    """

    hearing: Hearing
    ledger: Ledger
    ranks: dict[str, int]
    tails: Tails
    _standing: Standing = field(init=False, default_factory=Standing)
    _reached: dict[Key, int] = field(init=False, default_factory=dict)
    _unsure: bool = field(init=False, default=False)

    def run(self) -> None:
        """Complain of all that does not fit."""
        told = [each for place, said in sorted(self.hearing.said.items()) if (each := _told(place, said))]
        self._check_power([each for each in told if each.key[0] == "power"])
        told = [each for each in told if each.key[0] != "power" and not self._is_unconfirmed(each)]
        for stretch in self._stretches(told):
            if stretch.whole:
                self._check_whole(stretch)
            else:
                self._check_broken(stretch)
            self._check_state(stretch)

    def _stretches(self, told: list[Told]) -> Iterator[Stretch]:
        before: Sync | None = None
        sure = begun = heard = 0
        placed = [(at, each) for at, each in enumerate(self.ledger.changes) if each.key[0] != "power"]
        for sync in self.ledger.syncs:
            place = self.ranks[sync.epoch], sync.seq
            end = heard
            while end < len(told) and told[end].place <= place:
                end += 1
            since = (self.ranks[before.epoch], before.seq) if before else (-1, 0)
            lost = self.hearing.broken(since, place, crashes=False) or since < self.hearing.begin
            unbroken = before is not None and before.breaks == sync.breaks
            whole = unbroken and not lost and not self.hearing.broken(since, place)
            changes = [each for each in placed if begun <= each[0] < sync.changes]
            earlier = [each for each in placed if sure <= each[0] < begun]
            yield Stretch(before, sync, changes, earlier, told[heard:end], whole, lost)
            before, begun, heard = sync, sync.changes, end
            sure = sure if self.tails.has(sync.seq) else begun
        for late in told[heard:]:
            self._complain(late, "after everything was at rest")

    def _check_whole(self, stretch: Stretch) -> None:
        """Each change once, and in order."""
        flashes = _flashes(stretch.changes)
        changes, told = _by_key(stretch.changes), _events_by_key(stretch.told)
        for key in changes.keys() | told.keys():
            did, heard = changes.get(key, []), told.get(key, [])
            fit = len(did) == len(heard)
            if fit and all(_says(each, event, flashes) for (_, each), event in zip(did, heard, strict=True)):
                for (at, change), event in zip(did, heard, strict=True):
                    self._check_time(change, event)
                    if not self.tails.has(event.place[1]):
                        self._reached[key] = at + 1
            elif heard or key[0] not in flashes:
                self._complain_of(key, did, heard, stretch)

    def _check_broken(self, stretch: Stretch) -> None:
        """No more than the changes, and in order; some may not have been seen."""
        placed = [*stretch.earlier, *stretch.changes]
        changes, flashes = _by_key(placed), _flashes(placed)
        for key, heard in _events_by_key(stretch.told).items():
            did = changes.get(key, [])
            if key[1] == "foreground":
                self._check_foreground(key, did, heard, stretch)
            elif not self._follow(key, did, heard, flashes):
                self._complain_of(key, did, heard, stretch)

    def _follow(self, key: Key, did: list[Placed], heard: list[Told], flashes: set[str]) -> bool:
        """Find the change of each event, behind that of the last one which was stored; False: one has none."""
        kept = forgotten = self._reached.get(key, 0)
        run = -1
        for event in heard:
            if event.place[0] > run:
                # What was told and not stored is told again.
                run, forgotten = event.place[0], kept
            found = next(
                (each for each in did if each[0] >= forgotten and _says(each[1], event, flashes)), None
            )
            if found is None:
                return False
            self._check_time(found[1], event)
            forgotten = found[0] + 1
            if not self.tails.has(event.place[1]):
                kept = self._reached[key] = forgotten
        return True

    def _check_foreground(self, key: Key, did: list[Placed], heard: list[Told], stretch: Stretch) -> None:
        """No other than those who were there: what is read anew may be newer than what was received before."""
        if not {each.value for each in heard} <= {"", *(each.value for _, each in did)}:
            self._complain_of(key, did, heard, stretch)

    def _check_state(self, stretch: Stretch) -> None:
        """Who has heard all of this knows how things stand."""
        for event in stretch.told:
            self._standing.take(event, stored=not self.tails.has(event.place[1]))
        self._standing.enter(self.ranks[stretch.after.epoch])
        known, truth = self._standing.known, stretch.after.truth
        if self.hearing.covers((self.ranks[stretch.after.epoch], stretch.after.seq), stored=True):
            # It was told that it does not hear the last of it.
            return
        if stretch.lost or self._unsure:
            # What of the truth was stored is not known where it is as of a moment in a tail.
            self._unsure = self.tails.has(stretch.after.seq)
            self._standing.learn(truth)
            return
        wrong = [
            key for key in known.keys() | truth.keys() if (known.get(key) or None) != (truth.get(key) or None)
        ]
        for key in wrong:
            said = f"{key} is {truth.get(key)}, and what was said of it makes it {known.get(key)}"
            self.hearing.complain(f"number {stretch.after.seq}: {said}", stretch.after.time)
        if wrong:
            self._standing.learn(truth)

    def _is_unconfirmed(self, event: Told) -> bool:
        """Whether it says that a session does not lock that was asked to: an eventd that was stopped may say so."""
        if event.said.name != "SESSION_LOCK" or event.said.data.get("confirmed") is not False:
            return False
        begin = event.said.at - LOCKER_PATIENCE + HASTE
        if not any(
            (each.key, each.value, each.time <= begin) == (event.key, True, True)
            for each in self.ledger.changes
        ):
            self._complain(event, "it was not asked to, so long before")
        return True

    def _check_power(self, told: list[Told]) -> None:
        """Each sleep, resume and shutdown once and in order, as far as eventd has seen them."""
        changes = [(at, each) for at, each in enumerate(self.ledger.changes) if each.key[0] == "power"]
        # From the end: what was not told leaves no later one without its event.
        while told:
            event = told.pop()
            while changes and not _tells(event, changes[-1][1]):
                self._miss(*changes.pop())
            if changes:
                changes.pop()
            else:
                self._complain(event, "and nothing of the kind happened")
        for placed in changes:
            self._miss(*placed)

    def _miss(self, at: int, change: Change) -> None:
        if not self._excused(at):
            self.hearing.complain(f"nothing was said of {change}", change.time)

    def _excused(self, at: int) -> bool:
        """Whether something broke, or was lost, between the moments at which eventd knew all before and after it."""
        before = [sync for sync in self.ledger.syncs if sync.changes <= at]
        after = [sync for sync in self.ledger.syncs if sync.changes > at]
        if not before or not after or before[-1].breaks != after[0].breaks:
            return True
        since = self.ranks[before[-1].epoch], before[-1].seq
        upto = self.ranks[after[0].epoch], after[0].seq
        return self.hearing.broken(since, upto) or since < self.hearing.begin

    def _check_time(self, change: Change, event: Told) -> None:
        if event.said.at < change.time - HASTE:
            self._complain(event, f"{change.time - event.said.at:.3f} s before it happened")
        if change.user and event.said.data.get("user") != change.user:
            self._complain(event, f"it was {change.user}")

    def _complain(self, event: Told, why: str) -> None:
        self.hearing.complain(
            f"event {event.place[1]}: {event.said.name} {event.said.data}: {why}", event.said.at
        )

    def _complain_of(self, key: Key, did: list[Placed], heard: list[Told], stretch: Stretch) -> None:
        since = stretch.before.seq if stretch.before else 0
        numbers = ", ".join(f"{each.place[1]}: {each.value}" for each in heard)
        text = (
            f"numbers {since + 1} to {stretch.after.seq}: {key} became {[each.value for _, each in did]},"
            f" and what was said is [{numbers}]"
        )
        self.hearing.complain(text, did[0][1].time if did else stretch.after.time)


def _told(place: Place, said: Said) -> Told | None:
    change = change_of(said)
    return Told(place, *change, said) if change else None


def change_of(said: Said) -> tuple[Key, Value] | None:
    """What an event says has changed; None: it is of another kind."""
    data = said.data
    session = data.get("session", "")
    changes: dict[str, tuple[Key, Value]] = {
        "SESSION_LOGIN": ((session, "alive"), True),
        "SESSION_LOGOUT": ((session, "alive"), False),
        "SESSION_LOCK": ((session, "locked"), True),
        "SESSION_UNLOCK": ((session, "locked"), False),
        "SESSION_IDLE": ((session, "idle"), data.get("idle", False)),
        "SESSION_ACTIVE": ((data.get("seat", ""), "foreground"), session),
        "POWER_SLEEP": (("power", "awake"), False),
        "POWER_RESUME": (("power", "awake"), True),
        "POWER_SHUTDOWN": (("power", "on"), False),
    }
    return changes.get(said.name)


def _says(change: Change, event: Told, flashes: set[str]) -> bool:
    """Whether an event tells of a change; nobody has to know who was in the foreground for a moment."""
    return event.value == change.value or (change.value in flashes and event.value == "")


def _tells(event: Told, change: Change) -> bool:
    return (event.key, event.value) == (change.key, change.value) and event.said.at >= change.time - HASTE


def _by_key(placed: Sequence[Placed]) -> dict[Key, list[Placed]]:
    found: dict[Key, list[Placed]] = defaultdict(list)
    for each in placed:
        found[each[1].key].append(each)
    return found


def _events_by_key(told: Sequence[Told]) -> dict[Key, list[Told]]:
    found: dict[Key, list[Told]] = defaultdict(list)
    for event in told:
        found[event.key].append(event)
    return found


def _flashes(placed: Sequence[Placed]) -> set[str]:
    """Sessions that came and went: eventd may have had no time to ask who it was."""
    alive = [each for _, each in placed if each.key[1] == "alive"]
    return {each.key[0] for each in alive if each.value} & {each.key[0] for each in alive if not each.value}
