"""The referee finds each fault that eventd could have, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.chaos.claims import Emitted
from tests.chaos.gaps import Causes
from tests.chaos.hearing import Finding
from tests.chaos.ledger import Change, Ledger, Sync
from tests.chaos.records import Claims, Connected, Lost, Record, Said, encode, read_last, take_up
from tests.chaos.referee import Case, judge
from tests.chaos.vitals import Vital
from tests.chaos.vitals_check import check_log, check_vitals
from tests.chaos.witness import Sight

A, B = "a" * 32, "b" * 32
AGENT, LIFE = "chaos.agent0", "1.1"
USERS = {"c1": "home", "c2": "user1", "c3": "user2"}


def said(epoch: str, seq: int, name: str, session: str, at: float, **data: object) -> Said:
    return Said(at + 0.02, epoch, seq, name, {"session": session, "user": USERS[session], **data}, at + 0.01)


def agents(epoch: str, seq: int, name: str, at: float) -> Said:
    return Said(at, epoch, seq, name, {"session": "c1", "agent": AGENT}, at)


def claims(epoch: str, first: int, last: int, n: int, at: float, life: str = LIFE) -> Claims:
    return Claims(at, epoch, first, last, AGENT, life, n)


GOOD: list[Record] = [
    Connected(0.5, A, 1, A, 1),
    agents(A, 2, "AGENT_REGISTERED", 0.6),
    claims(A, 3, 5, 1, 0.7),
    said(A, 6, "SESSION_LOGIN", "c2", 1.0),
    said(A, 7, "SESSION_LOCK", "c2", 1.1),
    said(A, 8, "SESSION_UNLOCK", "c2", 1.2),
    said(A, 9, "SESSION_LOCK", "c1", 1.3),
    claims(A, 10, 12, 4, 1.4),
    said(A, 13, "SESSION_LOGIN", "c3", 2.0),
    said(A, 14, "SESSION_LOGOUT", "c2", 2.1),
    said(A, 15, "SESSION_UNLOCK", "c1", 2.2),
    Lost(3.5, B, 100, 16, 100, "crash", None),
    said(B, 101, "SESSION_LOGIN", "c1", 3.6),
    said(B, 102, "SESSION_LOGIN", "c3", 3.6),
    said(B, 103, "SESSION_LOCK", "c1", 3.7),
    Connected(5.0, B, 120, B, 103),
    Lost(5.0, B, 103, 104, 110, "slow-reader", ["*"]),
    said(B, 107, "SESSION_LOCK", "c3", 4.0),
    claims(B, 111, 113, 9, 5.1, "1.2"),
    said(B, 114, "SESSION_UNLOCK", "c1", 5.2),
]
"""What a host heard that wants everything, before and after a crash and while it was slow."""

CHANGES = [
    Change(0.0, ("c1", "alive"), True, "home"),
    Change(1.0, ("c2", "alive"), True, "user1"),
    Change(1.1, ("c2", "locked"), True),
    Change(1.2, ("c2", "locked"), False),
    Change(1.3, ("c1", "locked"), True),
    Change(2.0, ("c3", "alive"), True, "user2"),
    Change(2.1, ("c2", "alive"), False),
    Change(2.2, ("c1", "locked"), False),
    Change(3.7, ("c1", "locked"), True),
    Change(4.0, ("c3", "locked"), True),
    Change(5.2, ("c1", "locked"), False),
]

HOME, GUEST = (("c1", "alive"), ("c2", "alive")), (("c1", "alive"), ("c3", "alive"))
SYNCS = [
    Sync(1.35, A, 9, 5, dict.fromkeys((*HOME, ("c1", "locked")), True), 0),
    Sync(2.25, A, 15, 8, dict.fromkeys(GUEST, True), 0),
    Sync(3.75, B, 103, 9, dict.fromkeys((*GUEST, ("c1", "locked")), True), 2),
    Sync(5.25, B, 114, 11, dict.fromkeys((*GUEST, ("c3", "locked")), True), 2),
]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[Finding]]:
    """Judge records, together with those of a host that heard everything rightly but for agents' events."""

    def judged(records: list[Record], crashes: int = 1) -> list[Finding]:
        sparing = [record for record in GOOD if not isinstance(record, Claims)]
        for name, lines in (("durable", records), ("sparing", sparing)):
            (tmp_path / name).write_bytes(b"".join(encode(record) + b"\n" for record in lines))
        causes = Causes(10, crashes, 1, lasting=True, sights=[Sight(5.0, 5.01, B, 120, {})])
        case = Case(
            {"durable": tmp_path / "durable"},
            {"sparing": tmp_path / "sparing"},
            Ledger(CHANGES, {}, SYNCS, [3.0, 3.3]),
            [Emitted(AGENT, {LIFE: 9, "1.2": 11}, [(LIFE, 3, 5), (LIFE, 8, 20), ("1.2", 11, 113)])],
            causes,
        )
        return judge(case).findings

    return judged


def test_nothing_is_found_where_all_is_well(judged: Callable[..., list[Finding]]) -> None:
    assert judged(GOOD) == []


def without(*numbers: int) -> list[Record]:
    return [record for record in GOOD if not (isinstance(record, Said) and record.seq in numbers)]


def at(seq: int) -> int:
    """Where the event of that number is among the records."""
    return next(index for index, record in enumerate(GOOD) if isinstance(record, Said) and record.seq == seq)


def with_(index: int, *records: Record, instead: int = 0) -> list[Record]:
    return [*GOOD[:index], *records, *GOOD[index + instead :]]


def changed(index: int, **members: object) -> list[Record]:
    return with_(index, msgspec.structs.replace(GOOD[index], **members), instead=1)


FAULTS: dict[str, list[Record]] = {
    "a login is missing": without(6),
    "a logout is missing": without(14),
    "a stored event is missing where others are lost": without(107),
    "the first event of a run is missing": without(101),
    "events of an agent are missing": with_(7, instead=1),
    "the last event is missing": without(114),
    "an event comes twice": with_(at(7), GOOD[at(7)]),
    "an event comes again later": with_(at(15) + 1, GOOD[at(7)]),
    "an event comes again under another number": with_(
        at(8) + 1, said(A, 9, "SESSION_LOGIN", "c2", 1.2), said(A, 10, "SESSION_LOCK", "c1", 1.3), instead=2
    ),
    "two events are swapped": with_(at(7), GOOD[at(8)], GOOD[at(7)], instead=2),
    "the content of two events is swapped": with_(
        at(7),
        said(A, 7, "SESSION_UNLOCK", "c2", 1.2),
        said(A, 8, "SESSION_LOCK", "c2", 1.2),
        instead=2,
    ),
    "a gap covers what came": with_(at(15), Lost(2.2, A, 15, 15, 15, "slow-reader", None)),
    "a gap covers what had come": with_(at(15) + 1, Lost(2.3, A, 15, 10, 15, "slow-reader", None)),
    "a gap from nowhere": with_(7, Lost(1.4, A, 12, 10, 12, "crash", None), instead=1),
    "a gap of what was in memory": changed(16, last=112),
    "a gap that begins too late": changed(11, first=18),
    "a gap that leads elsewhere": changed(11, seq=60),
    "a gap for an unknown reason": changed(11, reason="expired"),
    "a crash that was none": with_(
        at(114) + 1,
        Lost(6.0, B, 300, 115, 300, "crash", None),
    ),
    "nothing was said of a crash": with_(11, instead=1),
    "an event that nobody caused": with_(at(15) + 1, said(A, 16, "SESSION_IDLE", "c1", 2.3, idle=True)),
    "an event that is none": changed(1, name="SESSION_GREETED"),
    "a login of somebody else": changed(at(6), data={"session": "c2", "user": "mallory"}),
    "an event before it happened": changed(at(6), at=0.5),
    "an event of an agent that emitted none": changed(2, agent="chaos.other"),
    "an event that was not emitted": changed(7, n=8),
    "an agent's events out of order": with_(2, claims(A, 3, 3, 2, 0.7), claims(A, 4, 5, 1, 0.7), instead=1),
    "an agent's event under another number": changed(18, n=8),
    "an agent that goes and never came": changed(1, name="AGENT_GONE"),
    "a host that goes on elsewhere": changed(15, since_seq=102),
}


@pytest.mark.parametrize("records", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(judged: Callable[..., list[Finding]], records: list[Record]) -> None:
    assert judged(records) != []


def test_a_crash_gap_needs_a_crash(judged: Callable[..., list[Finding]]) -> None:
    assert judged(GOOD, crashes=0) != []


def test_what_is_too_large_is_found() -> None:
    samples = [Vital(0.0, 1, 10, 10), Vital(0.2, 1, 30, 20), Vital(0.4, 1, 10, 40)]
    assert list(check_vitals(samples, memory=30, disk=40)) == []
    assert len(list(check_vitals(samples, memory=29, disk=39))) == 2
    assert len(list(check_vitals([], memory=29, disk=39))) == 2


def test_what_should_not_be_logged_is_found() -> None:
    assert list(check_log("INFO: on the bus as :1.1, by dbus-fast\n")) == []
    assert len(list(check_log("ERROR: a handler failed\nTraceback (most recent call last):\n"))) == 2


def test_a_host_that_was_killed_goes_on_behind_its_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert take_up(path) is None
    whole = encode(GOOD[0]) + b"\n" + encode(GOOD[1]) + b"\n"
    path.write_bytes(whole + encode(GOOD[2])[:-3])
    assert read_last(path) == GOOD[1]
    assert take_up(path) == GOOD[1]
    assert path.read_bytes() == whole
