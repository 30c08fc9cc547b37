"""Whether what a host heard of sessions is what logind did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.hearing import Hearing, Place
from tests.chaos.ledger import Change, Key, Ledger, Sync, Value
from tests.chaos.records import Said

HASTE = 0.05
"""Seconds by which an event may be older than what it tells of, by two readings of one clock."""

POWER_SECONDS = 5.0
"""In which a sleep or a resume is told: it waits for slow hosts to hear what was before."""


STATES = 2
"""What is said of a session's state right behind its login."""


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


@dataclass(frozen=True, slots=True)
class Stretch:
    """What happened between two moments at which eventd knew all.

    Attributes:
        before: the first; None for the beginning of the world.
        after: the second.
        changes: what logind did.
        told: what the host heard.
        whole: eventd must have seen each of these changes, and the host must have heard each.
        lost: some of what eventd saw is in a gap.
    """

    before: Sync | None
    after: Sync
    changes: Sequence[Change]
    told: list[Told]
    whole: bool
    lost: bool


@dataclass(slots=True)
class SessionCheck:
    """The check of one host.

    Attributes:
        hearing: what it heard.
        ledger: what logind did.
        ranks: the runs of eventd, in their order.
    """

    hearing: Hearing
    ledger: Ledger
    ranks: dict[str, int]
    _known: dict[Key, Value] = field(init=False, default_factory=dict)
    _run: int = field(init=False, default=-1)

    def run(self) -> None:
        """Complain of all that does not fit."""
        told = [each for place, said in sorted(self.hearing.said.items()) if (each := _told(place, said))]
        self._check_power([each for each in told if each.key[0] == "power"])
        told = [each for each in told if each.key[0] != "power"]
        for stretch in self._stretches(told):
            self._run = self.ranks[stretch.before.epoch] if stretch.before else self.hearing.begin[0]
            if stretch.whole:
                self._check_whole(stretch)
            else:
                self._check_broken(stretch)
            self._check_state(stretch)

    def _stretches(self, told: list[Told]) -> Iterator[Stretch]:
        before: Sync | None = None
        begun = heard = 0
        for sync in self.ledger.syncs:
            place = self.ranks[sync.epoch], sync.seq
            end = heard
            while end < len(told) and told[end].place <= place:
                end += 1
            since = (self.ranks[before.epoch], before.seq) if before else (-1, 0)
            lost = self.hearing.broken(since, place) or since < self.hearing.begin
            unbroken = before is not None and before.breaks == sync.breaks
            changes = [each for each in self.ledger.changes[begun : sync.changes] if each.key[0] != "power"]
            yield Stretch(before, sync, changes, told[heard:end], unbroken and not lost, lost)
            before, begun, heard = sync, sync.changes, end
        for late in told[heard:]:
            self._complain(late, "after everything was at rest")

    def _check_whole(self, stretch: Stretch) -> None:
        """Each change once, and in order."""
        flashes = _flashes(stretch.changes)
        changes, told = _by_key(stretch.changes), _by_key(stretch.told)
        for key in changes.keys() | told.keys():
            did, heard = changes.get(key, []), told.get(key, [])
            if len(did) == len(heard) and all(_says(*each, flashes) for each in zip(did, heard, strict=True)):
                for change, event in zip(did, heard, strict=True):
                    self._check_time(change, event)
            elif heard or key[0] not in flashes:
                self._complain_of(key, did, heard, stretch)

    def _check_broken(self, stretch: Stretch) -> None:
        """No more than the changes, and in order; some may not have been seen."""
        changes, flashes = _by_key(stretch.changes), _flashes(stretch.changes)
        for key, heard in _by_key(self._without_repeats(stretch.told)).items():
            if key[1] == "foreground":
                self._check_foreground(key, changes.get(key, []), heard, stretch)
                continue
            did = iter(changes.get(key, []))
            for event in heard:
                change = next((each for each in did if _says(each, event, flashes)), None)
                if change is None:
                    self._complain_of(key, changes.get(key, []), heard, stretch)
                    break
                self._check_time(change, event)

    def _check_foreground(self, key: Key, did: list[Change], heard: list[Told], stretch: Stretch) -> None:
        """No other than those who were there: what is read anew may be newer than what was received before."""
        if not {each.value for each in heard} <= {"", *(each.value for each in did)}:
            self._complain_of(key, did, heard, stretch)

    def _without_repeats(self, told: list[Told]) -> Iterator[Told]:
        """Without that by which a run of eventd that has just begun says how things stand (docs/events.md, A new run).

        Who is not named then has left while there was no eventd.
        """
        before = dict(self._known)
        logins: dict[str, Place] = {}
        for event in told:
            session, attribute = event.key
            if event.place[0] > self._run:
                self._run, before = event.place[0], {**before, **self._known}
                self._known.clear()
                logins.clear()
            again = before.pop(event.key, None) == event.value
            if again and attribute == "alive":
                logins[session] = event.place
            elif not (again and attribute == "foreground") and not _goes_with(event, logins.get(session)):
                yield event
            self._know(event)

    def _know(self, event: Told) -> None:
        self._known[event.key] = event.value
        if event.key[1] == "alive" and not event.value:
            for other in ("locked", "idle"):
                self._known.pop((event.key[0], other), None)

    def _check_state(self, stretch: Stretch) -> None:
        """Who has heard all of this knows how things stand."""
        if stretch.whole:
            for event in stretch.told:
                self._know(event)
        if not stretch.lost:
            for key in self._known.keys() | stretch.after.truth.keys():
                known, truth = self._known.get(key), stretch.after.truth.get(key)
                if (known or None) != (truth or None):
                    text = f"number {stretch.after.seq}: {key} is {truth}, and what was said of it makes it {known}"
                    self.hearing.complain(text, stretch.after.time)
        self._known = {key: value for key, value in stretch.after.truth.items() if value}

    def _check_power(self, told: list[Told]) -> None:
        """Each sleep and each resume once and in order, as far as eventd has seen them."""
        changes = [change for change in self.ledger.changes if change.key[0] == "power"]
        # From the end: what was not told leaves no later one without its event.
        while told:
            event = told.pop()
            while changes and not _tells(event, changes[-1]):
                self._miss(changes.pop())
            if changes:
                changes.pop()
            else:
                self._complain(event, "and nothing of the kind happened")
        for change in changes:
            self._miss(change)

    def _miss(self, change: Change) -> None:
        if not self._excused(change):
            self.hearing.complain(f"nothing was said of {change}", change.time)

    def _excused(self, change: Change) -> bool:
        begin, end = change.time - HASTE, change.time + POWER_SECONDS
        if any(begin <= when <= end for when in self.ledger.breaks):
            return True
        syncs = [sync for sync in self.ledger.syncs if sync.time < begin]
        after = [sync for sync in self.ledger.syncs if sync.time > end]
        since = (self.ranks[syncs[-1].epoch], syncs[-1].seq) if syncs else (-1, 0)
        upto = (self.ranks[after[0].epoch], after[0].seq) if after else (len(self.ranks), 0)
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

    def _complain_of(self, key: Key, did: list[Change], heard: list[Told], stretch: Stretch) -> None:
        since = stretch.before.seq if stretch.before else 0
        numbers = ", ".join(f"{each.place[1]}: {each.value}" for each in heard)
        text = (
            f"numbers {since + 1} to {stretch.after.seq}: {key} became {[each.value for each in did]},"
            f" and what was said is [{numbers}]"
        )
        self.hearing.complain(text, did[0].time if did else stretch.after.time)


def _told(place: Place, said: Said) -> Told | None:
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
    }
    return Told(place, *changes[said.name], said) if said.name in changes else None


def _says(change: Change, event: Told, flashes: set[str]) -> bool:
    """Whether an event tells of a change; nobody has to know who was in the foreground for a moment."""
    return event.value == change.value or (change.value in flashes and event.value == "")


def _goes_with(event: Told, login: Place | None) -> bool:
    """Whether an event is right behind the login that it says more of: locked, idle, or locked and idle."""
    if login is None or not event.value or event.key[1] not in ("locked", "idle"):
        return False
    return event.place[0] == login[0] and event.place[1] - login[1] <= STATES


def _tells(event: Told, change: Change) -> bool:
    return event.value == change.value and event.said.at >= change.time - HASTE


def _by_key(items: Sequence[Change] | Iterator[Told] | list[Told]) -> dict[Key, list]:  # type: ignore[type-arg]
    found: dict[Key, list] = defaultdict(list)  # type: ignore[type-arg]
    for item in items:
        found[item.key].append(item)
    return found


def _flashes(changes: Sequence[Change]) -> set[str]:
    """Sessions that came and went: eventd may have had no time to ask who it was."""
    came = {each.key[0] for each in changes if each.key[1] == "alive" and each.value}
    return {each.key[0] for each in changes if each.key[1] == "alive" and not each.value} & came
