"""Where a host stands in the numbers of events, and what is said to it before it hears more.

Synchronous: it decides, others read and send.

    what the host has                    what it is told                             it hears from
    ---------------------------------   -----------------------------------------   ------------------------------
    a number of a known run              nothing, or `partial` (below)               the next number on
    one behind a run that has ended      rolled-back, 0 to the run's bound           the next run on
    one behind the run that goes on      nothing: `needs_new_run`, then the above
    an epoch that nobody knows           new-epoch, 0 to the first known number      the first known number on

A known number may be that of an event that a crash took: between a run's `last` and its `bound` the journal has a gap,
and what expired is a gap of the journal as well (`JournalStore.read`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from guestmux_eventd.journal.gaps import Reason
from guestmux_eventd.journal.runs import Run


@dataclass(frozen=True, slots=True)
class Since:
    """The last event that a host has.

    Attributes:
        epoch: the run that it is of; as the host says.
        seq: its number; 0 or more.
    """

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What one EVENTS_LOST says.

    Attributes:
        first: the first lost number; 0 where events of a history that nobody knows are lost, too.
        last: the last lost number.
        reason: why.
        stands: what the host has when it has heard this: where it goes on if it hears no more. Before `last` where only
            some of the events are lost.
        unstored: only events that the journal does not store are lost; the others follow.
    """

    first: int
    last: int
    reason: Reason
    stands: Since
    unstored: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is to read.

    Attributes:
        runs: the known runs, the oldest first; the last one goes on. At least that one. One that had no event begins
            where the next one does.
        first: the oldest number in memory.
        last: the latest number.
        stored: whether the journal on disk has what memory has not.
    """

    runs: Sequence[Run]
    first: int
    last: int
    stored: bool = True

    @property
    def present(self) -> Run:
        """The run that goes on."""
        return self.runs[-1]

    def epoch_at(self, seq: int) -> str:
        """The epoch in which a number is a host's last: the later one, where one run ends and another begins."""
        behind = bisect_right(self.runs, seq + 1, key=lambda run: run.first)
        return self.runs[max(behind - 1, 0)].epoch


@dataclass(frozen=True, slots=True)
class Plan:
    """What a host is told, and from where on it hears.

    Attributes:
        after: it hears what has higher numbers: from the journal up to those that are in memory, then from memory.
        losses: what is said before.
        needs_new_run: it has heard more of the run that goes on than has happened: memory was rolled back, and numbers
            would be used twice. Begin a new run, then make a plan again.
    """

    after: int
    losses: tuple[Loss, ...] = ()
    needs_new_run: bool = False


def plan(kept: Kept, since: Since) -> Plan:
    """How a host goes on.

    Args:
        kept: what there is.
        since: what it has.
    """
    run = next((run for run in kept.runs if run.epoch == since.epoch), None)
    if run is None:
        return _told_anew(kept, "new-epoch", kept.runs[0].first - 1)
    if since.seq <= (kept.last if run == kept.present else run.bound):
        after = max(since.seq, run.first - 1)
        return _continued(kept, after, (), _reason(kept, after))
    if run == kept.present:
        return Plan(kept.last, needs_new_run=True)
    return _told_anew(kept, "rolled-back", run.bound)


def left_behind(kept: Kept, cursor: int) -> Plan:
    """How a host goes on that reads, and that memory has moved on from.

    Args:
        kept: what there is.
        cursor: the number of the last event that it has.
    """
    return _continued(kept, cursor, (), _reason(kept, cursor))


def _told_anew(kept: Kept, reason: Reason, after: int) -> Plan:
    if not kept.stored:
        after = max(after, kept.first - 1)
    loss = Loss(0, after, reason, Since(kept.epoch_at(after), after))
    return _continued(kept, after, (loss,), "restart")


def _reason(kept: Kept, after: int) -> Reason:
    return "slow-reader" if after >= kept.present.first - 1 else "restart"


def _continued(kept: Kept, after: int, told: tuple[Loss, ...], reason: Reason) -> Plan:
    end = kept.first - 1
    if not kept.stored:
        if after >= end:
            return Plan(after, told)
        return Plan(end, (*told, Loss(after + 1, end, reason, Since(kept.epoch_at(end), end))))
    # What a crash took of every kind of event is a gap of the journal; it need not be said twice.
    named = _crashed_before(kept, end)
    if after >= named:
        return Plan(after, told)
    return Plan(
        after, (*told, Loss(after + 1, named, reason, Since(kept.epoch_at(after), after), unstored=True))
    )


def _crashed_before(kept: Kept, end: int) -> int:
    """Up to where something may be lost that no gap of the journal names, below `end` and right before it."""
    for run in reversed(kept.runs[:-1]):
        if run.bound != end or run.last is None:
            break
        end = run.last
    return end
