"""What a user is shown of what left about them: their own alone, in pages, and not too often."""

from __future__ import annotations

from typing import Any

import pytest

from guestmux_eventd.call_log import CallLog
from guestmux_eventd.disclosure import BURST, MAX_CALLS, MAX_LOOKED_AT, MAX_ROWS, RATE, Disclosure, Row
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.refusal import Refusal
from guestmux_eventd.session_table import SessionTable
from guestmux_protocol.events import CLAIMED, VERIFIED
from guestmux_protocol.json_text import decode
from guestmux_protocol.patterns import EventFilter
from guestmux_protocol.sessions import Session
from guestmux_transport.values import to_json
from tests.support.feeds import Feeds

ALICE, BOB, ROOT = 1000, 1001, 0


class Rig:
    """A disclosure with two users' sessions and a host that takes everything."""

    def __init__(self) -> None:
        self.log = EventLog("e", lambda: 5.0)
        self.sessions = SessionTable()
        self.sessions.add(Session(session="c1", user="alice", uid=ALICE))
        self.sessions.add(Session(session="c2", user="bob", uid=BOB))
        self.feeds = Feeds(self.log)
        self.calls = CallLog(lambda: 7.0)
        self.now = 0.0
        self.disclosure = Disclosure(self.log, self.sessions, self.feeds.sent, self.calls, lambda: self.now)
        self.host = self.connect()

    def connect(self) -> EventFeed:
        host = self.feeds("virtio:org.guestmux.0", "mux")
        host.subscribe(Terms(EventFilter(["*"])), None)
        return host

    def tell(self, name: str, source: str = CLAIMED, **data: Any) -> int:
        seq = self.log.append(name, data, source)
        while self.host.take():
            pass
        return seq

    def shown(
        self, uid: int, after: int = 0, limit: int = 100
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        self.now += 1
        rows, page = self.disclosure.events(uid, after, limit)
        return [plain(row) for row in rows], plain(page)

    def names(self, uid: int) -> list[str]:
        return [row["event"] for row in self.shown(uid)[0]]


def plain(row: Row) -> dict[str, Any]:
    return {name: to_json(value) for name, value in row.items()}


def test_each_user_sees_their_own_and_root_all() -> None:
    rig = Rig()
    rig.tell("SESSION_LOCK", VERIFIED, session="c1", user="alice", uid=ALICE)
    rig.tell("SESSION_LOCK", VERIFIED, session="c2", user="bob", uid=BOB)
    rig.tell("__x_A", session="c1", user="alice", agent="a")
    rig.tell("AGENT_GONE", VERIFIED, session="c2", agent="a")
    rig.tell("NETWORK_CHANGED", VERIFIED, interfaces=[])
    assert rig.names(ALICE) == ["SESSION_LOCK", "__x_A"]
    assert rig.names(BOB) == ["SESSION_LOCK", "AGENT_GONE"]
    assert rig.names(1234) == []
    assert len(rig.names(ROOT)) == 5
    rows, _page = rig.shown(ALICE)
    assert decode(rows[0].pop("data").encode()) == {
        "epoch": "e",
        "seq": 1,
        "source": "verified",
        "session": "c1",
        "user": "alice",
        "uid": ALICE,
    }
    assert rows[0] == {
        "seq": 1,
        "time": 5_000_000,
        "event": "SESSION_LOCK",
        "uid": ALICE,
        "sent": [["virtio:org.guestmux.0", "mux"]],
        "waiting": [],
    }


def test_a_claim_is_about_whose_session_it_is_from_whatever_it_says() -> None:
    rig = Rig()
    rig.tell("__x_A", session="c2", user="bob", agent="a", uid=ALICE)
    rig.tell("__x_B", session=["c1"], user={"c1": 1}, uid="1000")
    assert rig.names(ALICE) == []
    assert rig.names(BOB) == ["__x_A"]


def test_a_user_whose_name_is_withheld_is_known_by_the_session() -> None:
    rig = Rig()
    rig.tell("SESSION_LOCK", VERIFIED, session="c1")
    assert rig.names(ALICE) == ["SESSION_LOCK"]


def test_a_session_that_ended_is_still_its_users() -> None:
    rig = Rig()
    rig.sessions.remove("c1")
    rig.tell("AGENT_GONE", VERIFIED, session="c1", agent="a")
    assert rig.names(ALICE) == ["AGENT_GONE"]


def test_an_id_that_another_user_has_now_shows_nothing_of_the_one_before() -> None:
    rig = Rig()
    rig.tell("__x_A", session="c1", user="alice", agent="a")
    rig.tell("SESSION_LOCK", VERIFIED, session="c1", user="alice", uid=ALICE)
    rig.sessions.remove("c1")
    rig.sessions.add(Session(session="c1", user="bob", uid=BOB))
    rig.sessions.remove("c1")
    assert rig.names(BOB) == []
    assert rig.names(ALICE) == ["SESSION_LOCK"]


def test_what_was_sent_to_nobody_is_not_shown_and_what_waits_is() -> None:
    rig = Rig()
    rig.host.close()
    rig.host = rig.feeds("p", "qmp")
    rig.tell("__x_A", session="c1")
    rig.connect()
    rig.tell("__x_B", session="c1")
    (row,) = rig.shown(ALICE)[0]
    assert (row["event"], row["sent"], row["waiting"]) == ("__x_B", [], [["virtio:org.guestmux.0", "mux"]])


def test_pages_follow_each_other_without_holes() -> None:
    rig = Rig()
    for _ in range(10):
        rig.tell("__x_A", session="c1")
        rig.tell("__x_B", session="c2")
    seen, after = [], 0
    while after < rig.log.last:
        rows, page = rig.shown(ALICE, after, 3)
        assert len(rows) <= 3
        assert page == {"next": page["next"], "first": 1, "last": 20, "unknown": 0, "epoch": "e"}
        assert page["next"] > after
        seen += [row["seq"] for row in rows]
        after = page["next"]
    assert seen == list(range(1, 20, 2))
    assert rig.shown(ALICE, 2**64 - 1) == ([], {**page, "next": 2**64 - 1})


def test_one_answer_is_bounded_work_and_bounded_in_size() -> None:
    rig = Rig()
    for _ in range(MAX_LOOKED_AT + 10):
        rig.log.append_text("__x_A", b'"session": "c2"')
    assert rig.shown(ALICE, 0, 2**32 - 1)[1]["next"] == MAX_LOOKED_AT
    rows, page = rig.shown(BOB, 0, 2**32 - 1)
    assert (len(rows), page["next"]) == (MAX_ROWS, MAX_ROWS)
    assert len(rig.shown(BOB, 0, 0)[0]) == 1
    for _ in range(20):
        rig.log.append_text("__x_A", b'"session": "c1", "text": "%b"' % (b"x" * 60_000))
    rows, page = rig.shown(ALICE, page["last"])
    assert len(rows) == 5


def test_many_subscriptions_make_a_page_smaller() -> None:
    rig = Rig()
    for _ in range(199):
        rig.connect()
    for _ in range(500):
        rig.log.append_text("__x_A", b'"session": "c1"')
    rows, page = rig.shown(ALICE, 0, 500)
    assert (len(rows), page["next"]) == (101, 101)


def test_who_asks_too_often_is_refused_and_no_other() -> None:
    rig = Rig()
    for _ in range(int(BURST)):
        rig.disclosure.events(ALICE, 0, 1)
    with pytest.raises(Refusal, match="slow down"):
        rig.disclosure.events(ALICE, 0, 1)
    with pytest.raises(Refusal, match="slow down"):
        rig.disclosure.calls(ALICE)
    rig.disclosure.events(BOB, 0, 1)
    rig.now += 1 / RATE
    rig.disclosure.events(ALICE, 0, 1)


def test_calls_in_ones_sessions() -> None:
    rig = Rig()
    rig.calls.add(ALICE, "c1", "guest-exec", "done", "p")
    rig.calls.add(BOB, "c2", "session-lock", "failed", "p")
    (row,) = rig.disclosure.calls(ALICE)
    assert plain(row) == {
        "uid": ALICE,
        "session": "c1",
        "command": "guest-exec",
        "outcome": "done",
        "port": "p",
        "count": 1,
        "first": 7.0,
        "last": 7.0,
    }
    assert len(rig.disclosure.calls(ROOT)) == 2
    for uid in range(100, 120):
        for number in range(300):
            rig.calls.add(uid, "c9", f"x{number}", "done", "p")
    assert len(rig.disclosure.calls(ROOT)) == MAX_CALLS


def test_users_without_end_are_not_remembered_without_end() -> None:
    rig = Rig()
    for uid in range(1000):
        rig.disclosure.calls(uid)
    assert len(rig.disclosure._buckets) <= 256
