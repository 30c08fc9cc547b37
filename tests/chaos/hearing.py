"""What a host heard, checked for being a line of numbers without a hole: each number once, in order, or in a gap."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.chaos.records import Claims, Connected, Lost, Record, Said, position_after

Place = tuple[int, int]
"""Where an event is: the rank of its run, and its number. In the order of time, as numbers are never given twice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be.

    Attributes:
        host: who heard it; empty for nobody in particular.
        text: what.
        time: about when, in seconds since the epoch; 0: nobody knows.
    """

    host: str
    text: str
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that a host was told it will not hear.

    Attributes:
        after: what it had heard before.
        upto: the last place in the gap.
        told: the record.
    """

    after: Place
    upto: Place
    told: Lost

    @property
    def others(self) -> bool:
        """Only what is not stored is lost: all else follows."""
        return self.told.names is not None

    def covers(self, place: Place) -> bool:
        """Whether an event lies in it."""
        # Of which run the last of the others is nobody says; only with a journal there are others.
        return self.after < place and (place[1] <= self.told.last if self.others else place <= self.upto)

    def meets(self, after: Place, upto: Place) -> bool:
        """Whether it has a number in common with those above `after` and up to `upto`."""
        return self.after < upto and (after[1] < self.told.last if self.others else after < self.upto)


@dataclass(slots=True)
class Hearing:
    """All that one host heard.

    Attributes:
        host: its name.
        begin: where it began.
        end: where it stands now.
        said: the events that are not agents', by place.
        claims: those of agents.
        gaps: what it was told is lost.
        findings: what is wrong with it.
    """

    host: str
    begin: Place = (0, 0)
    end: Place = (0, 0)
    said: dict[Place, Said] = field(default_factory=dict)
    claims: list[tuple[Place, Claims]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _lost: list[tuple[int, int]] | None = field(init=False, default=None)

    def covers(self, place: Place, *, stored: bool) -> bool:
        """Whether the host was told that it does not hear an event.

        Args:
            place: where that is.
            stored: whether it is of those that the journal stores.
        """
        return any(gap.covers(place) and not (stored and gap.others) for gap in self.gaps)

    def broken(self, after: Place, upto: Place, *, crashes: bool = True) -> bool:
        """Whether some of the events in between that are to be stored may be lost.

        Args:
            after: where it begins.
            upto: where it ends.
            crashes: also those that a killed eventd had no time to store, and so did not remember to have told.
        """
        gaps = [gap for gap in self.gaps if not gap.others and (crashes or gap.told.reason != "crash")]
        return any(gap.meets(after, upto) for gap in gaps)

    def claim_at(self, seq: int) -> tuple[str, str, int] | None:
        """The agent, its life and its number in an event; None where it heard none of an agent's there.

        Only where numbers go on from run to run.
        """
        index = bisect_left(self.claims, seq, key=lambda each: each[1].last)
        claims = self.claims[index][1] if index < len(self.claims) else None
        if claims is None or claims.first > seq:
            return None
        return claims.agent, claims.life, claims.n + seq - claims.first

    def lacks(self, seq: int) -> bool:
        """Whether it was told that it does not hear the event of that number, or had not begun to listen."""
        if self._lost is None:
            self._lost = _merged((gap.after[1], gap.told.last) for gap in self.gaps)
        index = bisect_left(self._lost, seq, key=lambda each: each[1])
        return seq <= self.begin[1] or (index < len(self._lost) and self._lost[index][0] < seq)

    def complain(self, text: str, time: float) -> None:
        """Write down that something is wrong."""
        self.findings.append(Finding(self.host, text, time))


class Listener:
    """Follows what one host heard, number by number.

    Args:
        host: its name.
        ranks: the runs of eventd, in their order.
        whole: whether it wants every event; else numbers may be left out that nobody but other hosts knows of.
    """

    def __init__(self, host: str, ranks: dict[str, int], *, whole: bool) -> None:
        self.hearing = Hearing(host)
        self._ranks = ranks
        self._whole = whole
        self._at: tuple[str, int] | None = None
        self._others_upto = 0

    def follow(self, records: Iterable[Record]) -> Hearing:
        """All of it."""
        for record in records:
            if record.epoch not in self._ranks:
                self._ranks[record.epoch] = len(self._ranks)
                self.hearing.complain(f"{record.epoch} is no run of eventd", record.time)
            self._take(record)
        self.hearing.end = self._place(*self._at) if self._at else (0, 0)
        return self.hearing

    def _take(self, record: Record) -> None:
        if isinstance(record, Connected):
            self._connected(record)
        elif isinstance(record, Lost):
            self._lost(record)
        elif isinstance(record, Claims):
            self._heard(record.epoch, record.first, record.last, record.time)
            self.hearing.claims.append((self._place(record.epoch, record.first), record))
        else:
            self._heard(record.epoch, record.seq, record.seq, record.time)
            self.hearing.said[self._place(record.epoch, record.seq)] = record
        if not isinstance(record, Connected) or self._at is None:
            self._at = position_after(record)

    def _place(self, epoch: str, seq: int) -> Place:
        return self._ranks[epoch], seq

    def _connected(self, record: Connected) -> None:
        if self._at is None:
            self.hearing.begin = self._place(*position_after(record))
        elif position_after(record) != self._at:
            self.hearing.complain(
                f"it went on from {position_after(record)}, not from {self._at}", record.time
            )

    def _heard(self, epoch: str, first: int, last: int, time: float) -> None:
        if self._at is None:
            self.hearing.complain(f"event {first} before it subscribed", time)
            return
        place, at = self._place(epoch, first), self._place(*self._at)
        if place <= at or first <= self._at[1]:
            # What is not after the last number was heard before, or was told as lost.
            self.hearing.complain(f"event {first} after number {self._at[1]}: twice, or out of order", time)
        elif self._whole and first > max(self._at[1], self._others_upto) + 1:
            self.hearing.complain(
                f"event {first} after number {self._at[1]}: nothing was said of those between", time
            )

    def _lost(self, record: Lost) -> None:
        if self._at is None:
            self.hearing.complain(f"a gap before it subscribed: {record}", record.time)
            return
        at, others = self._place(*self._at), record.names is not None
        # Where others are lost the guest goes on behind them when there was nothing else.
        if record.first != 0 and not at[1] < record.first <= max(at[1], self._others_upto) + 1:
            self.hearing.complain(f"after number {at[1]} a gap that begins elsewhere: {record}", record.time)
        if record.first != 0 and record.last < record.first:
            self.hearing.complain(f"after number {at[1]} a gap of nothing: {record}", record.time)
        if record.seq != (record.first - 1 if others else record.last):
            self.hearing.complain(f"after number {at[1]} a gap that leads elsewhere: {record}", record.time)
        self.hearing.gaps.append(Gap(at, self._place(record.epoch, record.last), record))
        if others:
            self._others_upto = max(self._others_upto, record.last)


def _merged(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in intervals that have none in common, in order."""
    merged: list[tuple[int, int]] = []
    for after, last in sorted(intervals):
        if merged and after <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((after, last))
    return merged


def ranked(readings: Iterable[Iterable[Record]], *, lasting: bool) -> dict[str, int]:
    """The runs of eventd in their order.

    Args:
        readings: what all hosts heard.
        lasting: whether numbers go on from run to run; else each begins at 1.
    """
    order: dict[str, tuple[int, float]] = {}
    for reading in readings:
        for record in reading:
            seq = record.first if isinstance(record, Claims) else record.seq
            known = order.get(record.epoch, (seq, record.time))
            order[record.epoch] = min(known[0], seq), min(known[1], record.time)

    def key(epoch: str) -> tuple[float, float]:
        seq, time = order[epoch]
        return (seq, time) if lasting else (time, 0)

    return {epoch: rank for rank, epoch in enumerate(sorted(order, key=key))}
