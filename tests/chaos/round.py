"""One round: a world that is killed for a while, and the verdict on it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.chaos.account import tell_findings, tell_hearing
from tests.chaos.child import Child, Stuck
from tests.chaos.hearing import Finding, Hearing
from tests.chaos.monkey import Deed
from tests.chaos.referee import judge
from tests.chaos.vitals_check import check_log, check_vitals
from tests.chaos.witness import Sight
from tests.chaos.world import JOURNAL_BYTES, World, world

MEMORY = 96 << 20
"""Resident bytes of eventd: Python has 30 MiB, the largest ring 25, and hosts and agents a few each."""

LOG_LINES = 15
"""Of each log that is shown when something is stuck."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a round went.

    Attributes:
        summary: in some lines, for people.
        account: what is wrong, which its first line says in short; empty where all is well.
    """

    summary: str
    account: str


async def play(directory: Path, seconds: float, seed: int, rate: int) -> Result:
    """Play a round.

    Args:
        directory: an empty one, for its files.
        seconds: for which things are killed; as long again may pass until it is at rest.
        seed: of everything that is random.
        rate: events a second that the agents try to emit, in sum.
    """
    async with world(directory, seed, rate) as made:
        stuck: list[Finding] = []
        began = time.monotonic()
        try:
            await made.run(seconds)
        except* Stuck as group:
            stuck = [Finding("", _tell_stuck(made, leaf)) for leaf in _leaves(group)]
        took = time.monotonic() - began
        for child in made.children:
            child.end(signal.SIGKILL)
        if stuck:
            return Result(f"stuck after {took:.0f} s", tell_findings(stuck, made.monkey.diary))
        verdict = judge(made.case())
        findings = [
            *verdict.findings,
            *check_vitals(made.vitals.samples, memory=MEMORY, disk=JOURNAL_BYTES),
            *check_log(made.eventd.log),
        ]
        summary = _tell(made, verdict.hearings.values(), took)
        return Result(summary, tell_findings(findings, made.monkey.diary) if findings else "")


def _tell(made: World, hearings: Iterable[Hearing], took: float) -> str:
    emitted = sum(agent.total for agent in made.emitted())
    samples = made.vitals.samples
    lines = [
        (
            f"{took:.0f} s, {rate_of(made.witness.sights):,.0f} events/s while eventd lived of {made.rate:,} asked for,"
            f" {emitted:,} emitted in all, ring {made.ring}"
        ),
        f"{len(made.ledger.changes)} changes at logind, {len(made.ledger.syncs)} times in step",
        f"done: {_tell_deeds(made.monkey.diary)}",
        (
            f"eventd: {max(each.memory for each in samples) >> 20} MiB of memory,"
            f" {max(each.disk for each in samples) >> 10} KiB on disk at most"
        ),
    ]
    return "\n".join([*lines, *map(tell_hearing, hearings)])


def rate_of(sights: Sequence[Sight]) -> float:
    """Events that eventd numbered in a second, without the time in which it was dead or did not answer."""
    pairs = [(one, other) for one, other in pairwise(sights) if one.epoch == other.epoch]
    seconds = sum(other.told - one.told for one, other in pairs)
    return sum(other.seq - one.seq for one, other in pairs) / seconds if seconds else 0.0


def _tell_deeds(diary: Sequence[Deed]) -> str:
    counts: dict[str, int] = {}
    for deed in diary:
        what = deed.what.partition(" for ")[0]
        if not what.startswith("start "):
            counts[what] = counts.get(what, 0) + 1
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))


def _tell_stuck(made: World, error: BaseException) -> str:
    ended = [child for child in made.children if child is not made.eventd and child.wanted and not child.pid]
    return "\n".join([str(error), *map(_tell_log, [made.eventd, *ended])])


def _tell_log(child: Child) -> str:
    last = "\n".join(f"    {line}" for line in child.log.splitlines()[-LOG_LINES:])
    return f"{child.name} {'lives' if child.pid else 'is dead'}; its log ends:\n{last}"


def _leaves(group: BaseExceptionGroup[Stuck]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
