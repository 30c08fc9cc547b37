"""Judges a world that has come to rest: each event once and in order, or in a gap that has a name; and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.claims import Emitted, check_agents, check_claims
from tests.chaos.gaps import Causes, check_gaps
from tests.chaos.hearing import Finding, Hearing, Listener, ranked
from tests.chaos.ledger import Ledger
from tests.chaos.records import Said, read_records
from tests.chaos.sessions import SessionCheck
from tests.chaos.stored import Stored
from tests.chaos.story import check_story

ALLOWED = frozenset(
    {
        *(
            "SESSION_LOGIN",
            "SESSION_LOGOUT",
            "SESSION_ACTIVE",
            "SESSION_LOCK",
            "SESSION_UNLOCK",
            "SESSION_IDLE",
        ),
        *("AGENT_REGISTERED", "AGENT_GONE", "POWER_SLEEP", "POWER_RESUME", "POWER_SHUTDOWN"),
        # The machine that the test runs on is not the test's.
        *("NETWORK_CHANGED", "PACKAGES_CHANGED", "TIME_CHANGED"),
    }
)

NOT_STORED = frozenset({"NETWORK_CHANGED", "PACKAGES_CHANGED"})


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged.

    Attributes:
        heard: the records of each host that wants everything.
        sparing: the records of hosts that want everything but what agents emit.
        ledger: what logind did.
        emitted: what agents emitted.
        causes: what gaps may come from.
        stored: what the journal has.
    """

    heard: Mapping[str, Path]
    sparing: Mapping[str, Path]
    ledger: Ledger
    emitted: Sequence[Emitted]
    causes: Causes
    stored: Stored


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result.

    Attributes:
        hearings: what each host heard.
        findings: what is wrong.
    """

    hearings: Mapping[str, Hearing]
    findings: list[Finding]


def judge(case: Case) -> Verdict:
    """Check everything that the hosts heard."""
    paths = {**case.heard, **case.sparing}
    ranks = ranked((read_records(path) for path in paths.values()), lasting=case.causes.lasting)
    ranks |= {each.epoch: len(ranks) for each in case.ledger.syncs if each.epoch not in ranks}
    hearings = {
        name: Listener(name, ranks, whole=name in case.heard).follow(read_records(path))
        for name, path in paths.items()
    }
    for name, hearing in hearings.items():
        _check_names(hearing)
        SessionCheck(hearing, case.ledger, ranks, case.stored.tails).run()
        check_agents(hearing, case.stored.tails)
        check_gaps(hearing, case.causes)
        if name in case.heard:
            check_claims(hearing, case.emitted, lasting=case.causes.lasting)
    check_agreement(hearings.values())
    findings = [finding for hearing in hearings.values() for finding in hearing.findings]
    findings += check_story(case.stored)
    return Verdict(hearings, sorted(findings, key=lambda finding: finding.time))


def check_agreement(hearings: Iterable[Hearing]) -> None:
    """Complain of an event that one host heard otherwise than another, or that another neither heard nor lost."""
    known: dict[tuple[int, int], Said] = {}
    for hearing in hearings:
        for place, said in hearing.said.items():
            first = known.setdefault(place, said)
            if (first.name, first.data, first.at) != (said.name, said.data, said.at):
                hearing.complain(f"event {place[1]} is {said}, and {first} to others", said.at)
    for hearing in hearings:
        for place, said in known.items():
            missing = hearing.begin < place <= hearing.end and place not in hearing.said
            if missing and not hearing.covers(place, stored=said.name not in NOT_STORED):
                hearing.complain(f"event {place[1]} was not heard, and others heard {said}", said.at)


def _check_names(hearing: Hearing) -> None:
    for place, said in hearing.said.items():
        if said.name not in ALLOWED:
            hearing.complain(f"event {place[1]}: {said}, which nobody meant", said.at)
