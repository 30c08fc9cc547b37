"""Whether each gap that a host was told of has a cause."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.hearing import Gap, Hearing
from tests.chaos.witness import Sight

REASONS = frozenset({"slow-reader", "restart", "crash"})
"""Why events may be lost where there is a journal: it is neither full nor old, and nobody sets anything back."""

REASONS_WITHOUT_JOURNAL = frozenset({"slow-reader", "new-epoch"})


@dataclass(frozen=True, slots=True)
class Causes:
    """What may have led to gaps.

    Attributes:
        ring: events that eventd keeps in memory.
        crashes: how often eventd was killed without warning.
        restarts: how often it was ended, in whatever way.
        lasting: whether it has a journal.
        sights: how far it had come, and when.
        killed: how often hosts were killed whose position is written a little after what they hear.
    """

    ring: int
    crashes: int
    restarts: int
    lasting: bool
    sights: Sequence[Sight]
    killed: Mapping[str, int] = field(default_factory=dict)


def check_gaps(hearing: Hearing, causes: Causes) -> None:
    """Complain of gaps from nowhere."""
    reasons = REASONS if causes.lasting else REASONS_WITHOUT_JOURNAL
    for gap in hearing.gaps:
        if gap.told.reason not in reasons:
            hearing.complain(f"a gap for no such reason: {gap.told}", gap.told.time)
        elif gap.told.reason == "slow-reader" and not _moved_on(gap, causes):
            hearing.complain(f"a gap of events that were in memory: {gap.told}", gap.told.time)
    # Told again to such a host it may reach further: more has left memory since.
    again = causes.killed.get(hearing.host, 0)
    for reason, most in (
        ("crash", causes.crashes),
        ("restart", causes.restarts + again),
        ("new-epoch", causes.restarts),
    ):
        # Told again to a host that was killed before it had written it down: it is the same one then.
        told = {gap.upto for gap in hearing.gaps if gap.told.reason == reason}
        if len(told) > most:
            hearing.complain(f"{len(told)} gaps for {reason}, which was {most} times", 0.0)


def _moved_on(gap: Gap, causes: Causes) -> bool:
    """Whether memory has moved on from what it is said to have lost: as soon as somebody has asked after that."""
    index = bisect_right(causes.sights, gap.told.time, key=lambda sight: sight.asked)
    later = causes.sights[index] if index < len(causes.sights) else None
    return later is None or later.epoch != gap.told.epoch or later.seq >= gap.told.last + causes.ring
