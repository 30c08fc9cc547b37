"""The numbers that hosts know files and processes by."""

from __future__ import annotations

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.handle_table import MAX_IDLE, MAX_KEPT, HandleTable
from guestmux_eventd.identity import Identity
from guestmux_eventd.token_bucket import TokenBucket

FIRST = 5000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def agent(sender: str = ":1.1") -> Agent:
    identity = Identity(0, 1, "root")
    return Agent(sender, "/a", "agent", "1", "system", identity, TokenBucket(1, 1, lambda: 0.0))


def table(clock: Clock | None = None) -> HandleTable:
    return HandleTable(FIRST, clock or Clock())


def test_numbers_are_eventd_s_own_and_its_owner_s_alone() -> None:
    handles = table()
    first, second = handles.add("file", "a", agent(), 7), handles.add("file", "b", agent(":1.2"), 7)
    assert (first.number, second.number) == (FIRST, FIRST + 1)
    assert handles.find("a", "file", FIRST) is first
    assert handles.find("b", "file", FIRST) is None
    assert handles.find("a", "process", FIRST) is None
    assert handles.find("a", "file", 7) is None
    assert handles.find("a", "file", [FIRST]) is None
    assert handles.find("a", "file", float(FIRST)) is None


def test_a_number_that_an_agent_gives_anew_ends_what_it_stood_for() -> None:
    handles, place = table(), agent()
    old = handles.add("process", "a", place, 42)
    new = handles.add("process", "b", place, 42)
    assert handles.find("a", "process", old.number) is None
    assert handles.find("b", "process", new.number) is new
    assert handles.add("file", "a", place, 42) is not None
    assert len(handles) == 2


def test_an_owner_that_leaves_takes_his_own_along() -> None:
    handles, place = table(), agent()
    mine, theirs = handles.add("file", "a", place, 1), handles.add("file", "b", place, 2)
    assert handles.take_all("a") == [mine]
    assert handles.take_all("a") == []
    assert handles.find("b", "file", theirs.number) is theirs
    assert handles.count("a") == 0


def test_removing_twice_is_nothing() -> None:
    handles = table()
    handle = handles.add("file", "a", agent(), 1)
    handles.remove(handle)
    handles.remove(handle)
    assert len(handles) == 0


def test_of_too_many_the_longest_idle_goes_and_none_that_is_in_use() -> None:
    clock, place = Clock(), agent()
    handles = table(clock)
    opened = []
    for number in range(MAX_KEPT["process"]):
        clock.now += 1
        opened.append(handles.add("process", "a", place, number))
    assert handles.take_excess("a", "process") == []
    opened[0].busy = 1
    clock.now += 1
    handles.touch(opened[1])
    handles.add("file", "a", place, 1)
    assert handles.take_excess("a", "process") == []
    handles.add("process", "a", place, 1000)
    assert handles.take_excess("a", "process") == [opened[2]]


def test_what_nobody_uses_goes_after_a_day() -> None:
    clock, place = Clock(), agent()
    handles = table(clock)
    assert handles.next_idle() is None
    used, unused, busy = (handles.add("file", "a", place, number) for number in range(3))
    busy.busy = 1
    clock.now = MAX_IDLE - 1
    assert handles.next_idle() == 1
    assert handles.take_idle() == []
    handles.touch(used)
    clock.now = MAX_IDLE
    assert handles.take_idle() == [unused]
    assert handles.find("a", "file", busy.number) is busy
