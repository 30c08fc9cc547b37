"""The referee finds each fault that eventd could have, and none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guestmux_eventd.told import ToldSession
from tests.chaos.claims import Emitted
from tests.chaos.gaps import Causes, check_gaps
from tests.chaos.hearing import Finding, Listener
from tests.chaos.ledger import Change, Key, Ledger, Sync, Value
from tests.chaos.overload import MAX_GROWTH, growth
from tests.chaos.records import Claims, Connected, Lost, Record, Said, encode, read_last, take_up
from tests.chaos.referee import Case, judge
from tests.chaos.round import rate_of
from tests.chaos.sessions import SessionCheck
from tests.chaos.stored import Stored, Tails
from tests.chaos.story import check_story
from tests.chaos.vitals import Vital
from tests.chaos.vitals_check import check_log, check_vitals
from tests.chaos.witness import Sight

A, B = "a" * 32, "b" * 32
AGENT, LIFE = "chaos.agent0", "1.1"
USERS = {"c1": "home", "c2": "user1", "c3": "user2", "c4": "user3"}


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
    said(A, 14, "SESSION_LOCK", "c2", 2.1),
    said(A, 15, "SESSION_UNLOCK", "c1", 2.2),
    said(A, 16, "SESSION_LOGIN", "c4", 2.3),
    Lost(3.5, B, 100, 17, 100, "crash", None),
    agents(B, 101, "AGENT_GONE", 3.6),
    said(B, 102, "SESSION_LOGOUT", "c2", 3.6),
    said(B, 103, "SESSION_LOGIN", "c4", 3.6),
    said(B, 104, "SESSION_LOCK", "c1", 3.7),
    Connected(5.0, B, 120, B, 104),
    Lost(5.0, B, 104, 105, 110, "slow-reader", ["*"]),
    said(B, 107, "SESSION_LOCK", "c3", 4.0),
    claims(B, 111, 113, 9, 5.1, "1.2"),
    said(B, 114, "SESSION_UNLOCK", "c1", 5.2),
]
"""What a host heard that wants everything, before and after a crash and while it was slow.

The crash took event 16 from the journal, so that it is told again; nobody saw c2 leave.
"""

CHANGES = [
    Change(0.0, ("c1", "alive"), True, "home"),
    Change(1.0, ("c2", "alive"), True, "user1"),
    Change(1.1, ("c2", "locked"), True),
    Change(1.2, ("c2", "locked"), False),
    Change(1.3, ("c1", "locked"), True),
    Change(2.0, ("c3", "alive"), True, "user2"),
    Change(2.1, ("c2", "locked"), True),
    Change(2.2, ("c1", "locked"), False),
    Change(2.3, ("c4", "alive"), True, "user3"),
    Change(3.1, ("c2", "alive"), False),
    Change(3.7, ("c1", "locked"), True),
    Change(4.0, ("c3", "locked"), True),
    Change(5.2, ("c1", "locked"), False),
]


def truth(*keys: Key) -> dict[Key, Value]:
    return dict.fromkeys(keys, True)


HOME, USER1, USER2, USER3 = (("c1", "alive"), ("c2", "alive"), ("c3", "alive"), ("c4", "alive"))
SYNCS = [
    Sync(1.35, A, 9, 5, truth(HOME, USER1, ("c1", "locked")), 0),
    Sync(2.25, A, 15, 8, truth(HOME, USER1, USER2, ("c2", "locked")), 0),
    Sync(3.75, B, 104, 11, truth(HOME, USER2, USER3, ("c1", "locked")), 2),
    Sync(5.25, B, 114, 13, truth(HOME, USER2, USER3, ("c3", "locked")), 2),
]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[Finding]]:
    """Judge records, together with those of a host that heard everything rightly but for agents' events."""

    def judged(records: list[Record], crashes: int = 1, others: list[Record] | None = None) -> list[Finding]:
        sparing = [record for record in others or GOOD if not isinstance(record, Claims)]
        for name, lines in (("durable", records), ("sparing", sparing)):
            (tmp_path / name).write_bytes(b"".join(encode(record) + b"\n" for record in lines))
        causes = Causes(10, crashes, 1, lasting=True, sights=[Sight(5.005, 5.01, B, 120, {})])
        case = Case(
            {"durable": tmp_path / "durable"},
            {"sparing": tmp_path / "sparing"},
            Ledger(CHANGES, {}, SYNCS, [3.0, 3.3]),
            [Emitted(AGENT, {LIFE: 9, "1.2": 11}, [(LIFE, 3, 5), (LIFE, 8, 20), ("1.2", 11, 113)])],
            causes,
            Stored(tails=Tails([(16, 100)])),
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
    "a logout is missing": without(102),
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
    "a gap of what was in memory": changed(18, last=112),
    "a gap that begins too late": changed(12, first=19),
    "a gap that leads elsewhere": changed(12, seq=60),
    "a gap for an unknown reason": changed(12, reason="expired"),
    "a crash that was none": with_(
        at(114) + 1,
        Lost(6.0, B, 300, 115, 300, "crash", None),
    ),
    "nothing was said of a crash": with_(12, instead=1),
    "an event that nobody caused": with_(
        at(15) + 1, said(A, 16, "SESSION_IDLE", "c1", 2.3, idle=True), instead=1
    ),
    "an event that is none": changed(1, name="SESSION_GREETED"),
    "a login of somebody else": changed(at(6), data={"session": "c2", "user": "mallory"}),
    "an event before it happened": changed(at(6), at=0.5),
    "an event of an agent that emitted none": changed(2, agent="chaos.other"),
    "an event that was not emitted": changed(7, n=8),
    "an agent's events out of order": with_(2, claims(A, 3, 3, 2, 0.7), claims(A, 4, 5, 1, 0.7), instead=1),
    "an agent's event under another number": changed(20, n=8),
    "an agent that goes and never came": changed(1, name="AGENT_GONE"),
    "a host that goes on elsewhere": changed(17, since_seq=102),
}


@pytest.mark.parametrize("records", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_found(judged: Callable[..., list[Finding]], records: list[Record]) -> None:
    assert judged(records) != []


def nothing(seq: int) -> Said:
    """An event that says nothing of what this is about, in the place of one that did."""
    epoch, time = (A, 2.3) if seq < 100 else (B, 3.6)
    return Said(time, epoch, seq, "NETWORK_CHANGED", {}, time)


HEARD_BY_ALL: dict[str, list[Record]] = {
    "a login is missing": with_(at(13), nothing(13), instead=1),
    "a logout that nobody saw is missing": with_(at(102), nothing(102), instead=1),
    "a login that eventd did not remember is missing": with_(at(103), nothing(103), instead=1),
    "a change that nobody saw is missing": with_(at(104), nothing(104), instead=1),
    "a login is told again": with_(at(103), said(B, 103, "SESSION_LOGIN", "c3", 3.6), instead=1),
    "a lock is told again": with_(at(114), said(B, 114, "SESSION_LOCK", "c1", 5.2), instead=1),
    "an agent comes back that never went": with_(at(101), agents(B, 101, "AGENT_REGISTERED", 3.6), instead=1),
    "an agent never went": with_(at(101), nothing(101), instead=1),
    "an agent goes twice": with_(at(102), agents(B, 102, "AGENT_GONE", 3.6), instead=1),
}


@pytest.mark.parametrize("records", HEARD_BY_ALL.values(), ids=HEARD_BY_ALL.keys())
def test_a_fault_is_found_that_all_heard(judged: Callable[..., list[Finding]], records: list[Record]) -> None:
    assert judged(records, others=records) != []


def stored(*events: Said, **remembered: Any) -> list[Finding]:
    return list(check_story(Stored(events, **remembered)))


LOGIN, LOCK = said(A, 1, "SESSION_LOGIN", "c2", 1.0), said(A, 2, "SESSION_LOCK", "c2", 1.1)
LOGOUT = said(B, 9, "SESSION_LOGOUT", "c2", 2.0)
CAME, WENT = agents(A, 3, "AGENT_REGISTERED", 1.2), agents(B, 8, "AGENT_GONE", 2.0)
REMEMBERED = ToldSession(login={**LOGIN.data, "uid": 1000}, locked="confirmed")


def test_a_story_in_the_journal_is_one() -> None:
    assert stored(LOGIN, LOCK, CAME, CAME, WENT, LOGOUT) == []
    assert stored(LOGIN, LOCK, CAME, sessions=[REMEMBERED], agents=[("c1", AGENT)]) == []


@pytest.mark.parametrize(
    "events",
    [
        [LOGIN, LOGIN, LOGOUT],
        [LOGIN, LOGOUT, LOGOUT],
        [LOGIN, LOCK, LOCK, LOGOUT],
        [LOGIN],
        [WENT],
        [CAME, agents(B, 8, "AGENT_REGISTERED", 2.0), WENT],
        [CAME],
    ],
)
def test_a_story_that_is_none_is_found(events: list[Said]) -> None:
    assert stored(*events) != []


def test_a_crash_gap_needs_a_crash(judged: Callable[..., list[Finding]]) -> None:
    assert judged(GOOD, crashes=0) != []


@pytest.mark.parametrize(("host", "findings"), [("sdk", 0), ("durable", 1)])
def test_a_restart_may_be_told_again_to_who_had_no_time_to_keep_its_position(
    host: str, findings: int
) -> None:
    hearing = Listener(host, {A: 0, B: 1}, whole=False).follow(
        [
            Connected(1.0, A, 5, A, 5),
            Lost(2.0, A, 5, 6, 20, "restart", ["NETWORK_*"]),
            Lost(3.0, B, 20, 21, 30, "restart", ["NETWORK_*"]),
        ]
    )
    check_gaps(hearing, Causes(10, 0, 1, lasting=True, sights=[], killed={"sdk": 1}))
    assert len(hearing.findings) == findings


def power(epoch: str, seq: int, name: str, at: float) -> Said:
    return Said(at, epoch, seq, name, {}, at)


def check_power(*records: Record, breaks: int = 0) -> list[Finding]:
    """Judge what was told of a sleep, the resume and a shutdown, where so often something broke meanwhile."""
    awake, on = ("power", "awake"), ("power", "on")
    changes = [Change(1.0, awake, False), Change(1.2, awake, True), Change(1.4, on, False)]
    ledger = Ledger(changes, {}, [Sync(0.9, A, 1, 0, {}, 4), Sync(9.0, A, 9, 3, {}, 4 + breaks)])
    hearing = Listener("sparing", {A: 0}, whole=False).follow([Connected(0.5, A, 1, A, 1), *records])
    SessionCheck(hearing, ledger, {A: 0}, Tails()).run()
    return hearing.findings


ASLEEP, AWAKE = power(A, 2, "POWER_SLEEP", 1.1), power(A, 3, "POWER_RESUME", 1.3)
ENDING = power(A, 4, "POWER_SHUTDOWN", 1.5)


def test_a_sleep_a_resume_and_a_shutdown_are_told_once() -> None:
    assert check_power(ASLEEP, AWAKE, ENDING) == []
    late = msgspec.structs.replace(AWAKE, at=8.0), msgspec.structs.replace(ENDING, at=8.1)
    assert check_power(ASLEEP, *late) == []


@pytest.mark.parametrize(
    "records",
    [
        [],
        [ASLEEP, AWAKE],
        [ASLEEP, ENDING],
        [AWAKE, ENDING],
        [ASLEEP, power(A, 3, "POWER_SHUTDOWN", 1.5), power(A, 4, "POWER_RESUME", 1.5)],
        [ASLEEP, AWAKE, ENDING, power(A, 5, "POWER_RESUME", 1.6)],
    ],
)
def test_a_sleep_that_is_told_wrongly_is_found(records: list[Record]) -> None:
    assert check_power(*records) != []


def test_a_sleep_need_not_be_told_that_eventd_may_not_have_seen() -> None:
    assert check_power(ASLEEP, breaks=2) == []
    assert check_power(ASLEEP, AWAKE, power(A, 4, "POWER_SLEEP", 1.4), breaks=2) != []


@pytest.mark.parametrize(("at", "may_be"), [(3.1, True), (1.2, False)])
def test_a_lock_may_be_told_as_unconfirmed_where_nothing_is_heard_for_long(at: float, may_be: bool) -> None:
    lock, home = Change(1.0, ("c1", "locked"), True), truth(HOME)
    syncs = [Sync(0.9, A, 1, 1, home, 0), Sync(9.0, A, 9, 2, {**home, ("c1", "locked"): True}, 0)]
    hearing = Listener("sparing", {A: 0}, whole=False).follow(
        [
            Connected(0.5, A, 0, A, 0),
            said(A, 1, "SESSION_LOGIN", "c1", 0.8),
            said(A, 2, "SESSION_LOCK", "c1", at, confirmed=False),
            said(A, 3, "SESSION_LOCK", "c1", at, confirmed=True),
        ]
    )
    home_came = Change(0.7, ("c1", "alive"), True, "home")
    SessionCheck(hearing, Ledger([home_came, lock], {}, syncs), {A: 0}, Tails()).run()
    assert (hearing.findings == []) == may_be


def test_the_rate_is_that_of_the_time_in_which_eventd_lived() -> None:
    sights = [
        Sight(0, time, epoch, seq, {}) for time, epoch, seq in ((1.0, A, 10), (2.0, A, 30), (9.0, B, 50))
    ]
    assert rate_of(sights) == 20.0
    assert rate_of(sights[:1]) == 0.0


def test_what_is_too_large_is_found() -> None:
    samples = [Vital(0.0, 1, 10, 10), Vital(0.2, 1, 30, 20), Vital(0.4, 1, 10, 40)]
    assert list(check_vitals(samples, memory=30, disk=40)) == []
    assert len(list(check_vitals(samples, memory=29, disk=39))) == 2
    assert len(list(check_vitals([], memory=29, disk=39))) == 2


def test_memory_that_grows_is_found_and_none_that_only_fills_or_wavers() -> None:
    def grown(memory: Callable[[float], float]) -> float:
        samples = [Vital(time / 5, 1, int(memory(time / 5)), 0) for time in range(500)]
        return growth(samples, 100.0)[0]

    assert grown(lambda time: 40e6 + 1e6 * min(time, 20)) == pytest.approx(0, abs=1)
    assert grown(lambda time: 40e6 + 1e6 * (int(time) % 3)) < MAX_GROWTH / 10
    # 40 bytes for each of 1,000 events a second.
    assert grown(lambda time: 40e6 + 40e3 * time) > MAX_GROWTH


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
