"""Which events were sent to which ports: what the record says of each is what each subscription was given."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.position import Since
from guestmux_eventd.sent_record import MAX_ENDED
from guestmux_protocol.events import CLAIMED
from guestmux_protocol.patterns import EventFilter
from tests.support.feeds import Feeds

EPOCH = "e"


def new_log(kept: int = 1000) -> EventLog:
    return EventLog(EPOCH, lambda: 0.0, max_events=kept)


def terms(*patterns: str, name: str = "", sessions: frozenset[str] | None = None) -> Terms:
    return Terms(EventFilter(patterns), name, sessions)


def receivers(feeds: Feeds) -> dict[int, tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    return {entry.seq: feeds.sent.receivers(entry) for entry in feeds.history.log.after(0)}


def test_sent_is_what_was_taken_and_asked_for() -> None:
    log = new_log()
    feeds = Feeds(log)
    log.append("A", {}, CLAIMED)
    feed = feeds("p", "qmp")
    feed.subscribe(terms("B"), None)
    for name in ("A", "B"):
        log.append(name, {}, CLAIMED)
    assert receivers(feeds) == {1: ([], []), 2: ([], []), 3: ([], [("p", "qmp")])}
    feed.take()
    assert receivers(feeds)[3] == ([("p", "qmp")], [])
    feed.close()
    log.append("B", {}, CLAIMED)
    assert receivers(feeds)[3] == ([("p", "qmp")], [])
    assert receivers(feeds)[4] == ([], [])


def test_what_one_port_has_and_another_will_have() -> None:
    log = new_log()
    feeds = Feeds(log)
    first, second, third = feeds("p", "qmp"), feeds("p", "mux"), feeds("q", "mux")
    for feed in (first, second, third):
        feed.subscribe(terms("*"), None)
    log.append("A", {}, CLAIMED)
    first.take()
    assert receivers(feeds)[1] == ([("p", "qmp")], [("p", "mux"), ("q", "mux")])
    third.subscribe(terms("*", name="again"), Since(EPOCH, 0))
    third.take()
    assert receivers(feeds)[1] == ([("p", "qmp"), ("q", "mux")], [("p", "mux")])


def test_hosts_without_end_are_not_remembered_without_end() -> None:
    log = new_log(kept=MAX_ENDED + 3)
    feeds = Feeds(log)
    for number in range(MAX_ENDED + 2):
        feed = feeds(f"p{number}", "qmp")
        feed.subscribe(terms("*"), None)
        log.append("A", {}, CLAIMED)
        feed.take()
        feed.close()
    assert len(feeds.sent) == MAX_ENDED
    assert feeds.sent.unknown == 2
    assert receivers(feeds)[3] == ([("p2", "qmp")], [])


def test_subscriptions_that_were_sent_nothing_are_no_trouble() -> None:
    feeds = Feeds(new_log())
    for _ in range(MAX_ENDED * 2):
        feed = feeds("p", "qga")
        feed.subscribe(terms("*"), None)
        feed.close()
    assert (len(feeds.sent), feeds.sent.unknown) == (0, 0)


def test_what_memory_has_no_event_of_any_more_goes_without_a_gap() -> None:
    log = new_log(kept=2)
    feeds = Feeds(log)
    for _ in range(4):
        feed = feeds("p", "qmp")
        feed.subscribe(terms("*"), None)
        log.append("A", {}, CLAIMED)
        feed.take()
        feed.close()
    assert (len(feeds.sent), feeds.sent.unknown) == (2, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "subscribe", "resume", "take", "forget", "end"]),
        st.sampled_from(["A", "B", "*"]),
        st.sampled_from([0, 1]),
        st.sampled_from([None, frozenset({"c1"})]),
    ),
    max_size=40,
)


@given(steps)
def test_the_record_is_what_happened(
    story: list[tuple[str, str, int, frozenset[str] | None]],
) -> None:
    log = new_log()
    feeds = Feeds(log)
    ports = [("p", "qmp"), ("q", "mux")]
    hosts: list[EventFeed] = [feeds(*port) for port in ports]
    given: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
    for what, name, host, sessions in story:
        feed = hosts[host]
        if what == "append":
            log.append("A" if name == "*" else name, {"session": "c1" if sessions else "c2"}, CLAIMED)
        elif what == "subscribe":
            feed.subscribe(terms(name, "B", sessions=sessions), None)
        elif what == "resume":
            feed.subscribe(terms(name, name="again"), Since(EPOCH, log.last // 2))
        elif what == "take":
            for entry in feed.take():
                given[entry.seq].add(ports[host])
        elif what == "forget":
            feed.unsubscribe([name])
        else:
            feed.close()
            hosts[host] = feeds(*ports[host])
    assert {seq: set(sent) for seq, (sent, _) in receivers(feeds).items() if sent} == given
    promised = {seq: set(waiting) for seq, (_, waiting) in receivers(feeds).items()}
    for feed, port in zip(hosts, ports, strict=True):
        while events := feed.take():
            for entry in events:
                given[entry.seq].add(port)
    assert all(given[seq] >= waiting for seq, waiting in promised.items())
