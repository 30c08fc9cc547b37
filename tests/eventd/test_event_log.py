"""The event log and its readers: numbers without holes, bounds, gaps that are named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.position import Since
from guestmux_eventd.subscription import BATCH_BYTES, Subscription
from guestmux_protocol.errors import JsonError
from guestmux_protocol.patterns import EventFilter
from tests.support.feeds import Feeds


def make_log(**bounds: int) -> EventLog:
    return EventLog("epoch", lambda: 12.5, **bounds)


def reader(log: EventLog, pattern: str = "*", cursor: int = 0, epoch: str = "epoch") -> Subscription:
    feeds = Feeds(log)
    return Subscription(
        feeds.history, feeds.state, Terms(EventFilter([pattern])), Since(epoch, cursor), lambda: 0.0
    )


def messages(entries: list[Entry]) -> list[dict[str, Any]]:
    return [json.loads(entry.line()) for entry in entries]


def everything(subscription: Subscription) -> list[dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    while (entries := subscription.take()) or subscription.is_behind:
        taken += messages(entries)
        if not entries:
            fetch(subscription)
    return taken


def fetch(subscription: Subscription) -> None:
    """Without a disk there is nothing to wait for."""
    with pytest.raises(StopIteration):
        subscription.fetch().send(None)


def test_an_event_has_epoch_number_source_and_time() -> None:
    log = make_log()
    assert log.append("A", {"x": 1}, "verified") == 1
    assert messages(reader(log).take()) == [
        {
            "event": "A",
            "data": {"epoch": "epoch", "seq": 1, "source": "verified", "x": 1},
            "timestamp": {"seconds": 12, "microseconds": 500000},
        }
    ]


def test_what_is_no_json_takes_no_number() -> None:
    log = make_log()
    with pytest.raises(JsonError):
        log.append("A", {"x": object()}, "verified")
    assert log.append("A", {}, "verified") == 1


def test_a_reader_starts_behind_its_cursor() -> None:
    log = make_log()
    for _ in range(3):
        log.append("A", {}, "verified")
    assert [m["data"]["seq"] for m in everything(reader(log, cursor=2))] == [3]


def test_a_filter_passes_only_what_it_names() -> None:
    log = make_log()
    log.append("A", {}, "verified")
    log.append("B", {}, "verified")
    subscription = reader(log, "B")
    assert [m["event"] for m in everything(subscription)] == ["B"]
    assert subscription.cursor == 2


def test_the_log_is_bounded_in_events_and_the_gap_is_named_where_it_is() -> None:
    log = make_log(max_events=2)
    subscription = reader(log)
    for _ in range(5):
        log.append("A", {}, "verified")
    first, *rest = everything(subscription)
    assert first["event"] == "EVENTS_LOST"
    assert first["data"] == {
        "epoch": "epoch",
        "seq": 3,
        "source": "verified",
        "from": 1,
        "to": 3,
        "reason": "slow-reader",
    }
    assert [m["data"]["seq"] for m in rest] == [4, 5]


def test_the_log_is_bounded_in_bytes() -> None:
    log = make_log(max_bytes=1000)
    for _ in range(100):
        log.append("A", {"text": "x" * 100}, "verified")
    assert 1 <= log.last - log.first + 1 <= 10


def test_another_epochs_cursor_is_a_gap_and_all_that_is_kept_follows() -> None:
    log = make_log()
    log.append("A", {}, "verified")
    lost, kept = everything(reader(log, cursor=77, epoch="older"))
    assert (lost["event"], lost["data"]["reason"]) == ("EVENTS_LOST", "new-epoch")
    assert kept["data"]["seq"] == 1


def test_a_batch_is_about_one_write() -> None:
    log = make_log()
    for _ in range(100):
        log.append("A", {"text": "x" * 1000}, "verified")
    batch = sum(len(entry.line()) for entry in reader(log).take())
    assert BATCH_BYTES - 1000 <= batch < BATCH_BYTES + 2000


def test_listeners_are_woken_until_they_stop() -> None:
    log, woken = make_log(), []
    stop = log.listen(lambda: woken.append(log.last))
    log.append("A", {}, "verified")
    stop()
    log.append("A", {}, "verified")
    assert woken == [1]


@given(
    st.lists(st.one_of(st.sampled_from("AB"), st.just("read")), max_size=60),
    st.integers(1, 5),
    st.sampled_from(["*", "A"]),
)
def test_every_number_is_delivered_or_lies_in_a_named_gap(steps: list[str], kept: int, pattern: str) -> None:
    log = make_log(max_events=kept)
    subscription = reader(log, pattern)
    names: list[str] = []
    accounted = 0
    for step in [*steps, "read"]:
        if step != "read":
            log.append(step, {}, "verified")
            names.append(step)
            continue
        for message in everything(subscription):
            data = message["data"]
            if message["event"] == "EVENTS_LOST":
                assert data["from"] > accounted
                accounted = data["to"]
            else:
                skipped = names[accounted : data["seq"] - 1]
                assert all(name not in subscription.terms.wanted for name in skipped)
                assert names[data["seq"] - 1] == message["event"]
                accounted = data["seq"]
    assert all(name not in subscription.terms.wanted for name in names[accounted:])
