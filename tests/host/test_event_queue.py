"""The queue between the connection and a consumer: bounded, in order, and what it drops it tells."""

from __future__ import annotations

import pytest

from guestmux.event import Disconnected, Event, Gap
from guestmux.event_queue import MAX_NOTICES, SLOW_CONSUMER, EventQueue


def event(seq: int) -> Event:
    return Event("X", {"seq": seq})


def drain(queue: EventQueue) -> list[object]:
    return [queue.take()[0] for _ in range(len(queue))]


def test_keeps_the_order() -> None:
    queue = EventQueue()
    queue.put(event(1), 10)
    queue.put_notice(Disconnected("gone"))
    queue.put(event(2), 10)
    assert drain(queue) == [event(1), Disconnected("gone"), event(2)]
    with pytest.raises(IndexError):
        queue.take()


def test_tells_what_it_dropped() -> None:
    queue = EventQueue(max_events=2)
    for seq in range(1, 6):
        queue.put(event(seq), 10)
    assert drain(queue) == [event(1), event(2), Gap(3, 5, SLOW_CONSUMER, 3)]


def test_takes_events_again_when_there_is_room() -> None:
    queue = EventQueue(max_events=2)
    for seq in range(1, 5):
        queue.put(event(seq), 10)
    assert queue.take() == (event(1), None)
    queue.put(event(5), 10)
    queue.put(event(6), 10)
    assert drain(queue) == [event(2), Gap(3, 4, SLOW_CONSUMER, 2), event(5), Gap(6, 6, SLOW_CONSUMER, 1)]


def test_is_bounded_in_bytes() -> None:
    queue = EventQueue(max_bytes=100)
    for seq in range(1, 4):
        queue.put(event(seq), 60)
    assert drain(queue) == [event(1), Gap(2, 3, SLOW_CONSUMER, 2)]
    assert repr(queue) == "<EventQueue 0 items, 0 bytes>"


def test_one_event_over_the_bound_is_taken() -> None:
    queue = EventQueue(max_bytes=100)
    queue.put(event(1), 1000)
    assert drain(queue) == [event(1)]


def test_notices_are_bounded() -> None:
    queue = EventQueue()
    for number in range(10 * MAX_NOTICES):
        queue.put_notice(Disconnected(str(number)))
    assert len(queue) == MAX_NOTICES
    assert drain(queue)[-1] == Disconnected(str(10 * MAX_NOTICES - 1))
