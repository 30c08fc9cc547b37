"""Whether what a host heard of agents is what they emitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.hearing import Hearing, Place
from tests.chaos.stored import Tails

REGISTERED, GONE = "AGENT_REGISTERED", "AGENT_GONE"


@dataclass(slots=True)
class Emitted:
    """What an agent wrote down before and after it emitted.

    Attributes:
        agent: its name.
        upto: the highest number that was emitted in each life.
        took: where eventd said that an event is: life, the agent's number, and the journal's.
    """

    agent: str
    upto: dict[str, int] = field(default_factory=dict)
    took: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Events in all lives, at most."""
        return sum(self.upto.values())


def read_emitted(agent: str, log: Path) -> Emitted:
    """An agent's log, but not what it had no time to finish."""
    emitted = Emitted(agent)
    lines = log.read_text().split("\n") if log.exists() else [""]
    for line in lines[:-1]:
        kind, life, *numbers = line.split(" ")
        if kind == "life":
            emitted.upto[life] = 0
        elif kind == "upto":
            emitted.upto[life] = int(numbers[0])
        else:
            emitted.took.append((life, int(numbers[0]), int(numbers[1])))
    return emitted


def check_claims(hearing: Hearing, logs: Iterable[Emitted], *, lasting: bool) -> None:
    """Complain of what an agent did not emit, or emitted in another order, or of what is missing in between.

    Args:
        hearing: of a host that wants all.
        logs: of all agents.
        lasting: whether numbers go on from run to run, so that an agent's log says which event is meant.
    """
    by_agent = {log.agent: log for log in logs}
    reached: dict[tuple[str, str], tuple[int, Place]] = {}
    for place, claims in hearing.claims:
        log = by_agent.get(claims.agent)
        if log is None or claims.last_n > log.upto.get(claims.life, 0):
            hearing.complain(f"event {claims.last}: {claims} was not emitted", claims.time)
        before, at = reached.get((claims.agent, claims.life), (0, (place[0], 0)))
        if claims.n <= before:
            hearing.complain(
                f"event {claims.first}: number {claims.n} after {before} of {claims}", claims.time
            )
        elif claims.n > before + 1 and not _may_have_missed(hearing, at, place):
            hearing.complain(f"event {claims.first}: no number {before + 1} before {claims}", claims.time)
        reached[claims.agent, claims.life] = claims.last_n, (place[0], claims.last)
    if lasting:
        for log in by_agent.values():
            _check_taken(hearing, log)


def check_agents(hearing: Hearing, tails: Tails) -> None:
    """Complain of an agent that is gone and was not there, or comes back without having gone, or stays to the end."""
    run, present, kept, came = -1, set[str](), set[str](), set[str]()
    for place, said in sorted(hearing.said.items()):
        if place[0] > run:
            # The next run knows what was stored.
            run, present, came = place[0], set(kept), set()
        agent, stored = said.data.get("agent", ""), not tails.has(place[1])
        if said.name == REGISTERED:
            if agent in present - came:
                hearing.complain(f"event {place[1]}: {agent} is back, and never went", said.at)
            for agents in (present, came, kept) if stored else (present, came):
                agents.add(agent)
        elif said.name == GONE:
            if agent not in present and hearing.begin < (place[0], 0):
                hearing.complain(f"event {place[1]}: {agent} is gone, and never came", said.at)
            for agents in (present, came, kept) if stored else (present, came):
                agents.discard(agent)
    if present:
        hearing.complain(f"all agents are dead, and {sorted(present)} never went", 0.0)


def _may_have_missed(hearing: Hearing, after: Place, upto: Place) -> bool:
    return hearing.begin > after or any(gap.meets(after, upto) for gap in hearing.gaps)


def _check_taken(hearing: Hearing, log: Emitted) -> None:
    for life, n, seq in log.took:
        found = hearing.claim_at(seq)
        if found is None and not hearing.lacks(seq):
            hearing.complain(
                f"event {seq}: {(log.agent, life, n)} was taken as that, and it was not heard", 0.0
            )
        elif found not in (None, (log.agent, life, n)):
            hearing.complain(f"event {seq}: {found}, and {(log.agent, life, n)} was taken as that", 0.0)
