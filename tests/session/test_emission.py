"""Events under way over a channel: each gets its own number, whatever order answers come in."""

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_protocol.registry import Data
from guestmux_session import Disconnected, InvalidArgument, LimitExceeded, TooLarge
from guestmux_session.emission import (
    MAX_EVENT_BYTES,
    MAX_UNDERWAY,
    MAX_UNDERWAY_BYTES,
    BadAcknowledgement,
    Emission,
    event_text,
)

pytestmark = pytest.mark.anyio

Sent = list[tuple[int, str, bytes, int]]


def emission() -> tuple[Emission, Sent, list[Exception]]:
    sent: Sent = []
    complaints: list[Exception] = []
    return Emission(lambda *event: sent.append(event), complaints.append), sent, complaints


async def started(made: Emission, count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.ensure_future(made.emit("X", b"{}")) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_an_acknowledgement_numbers_all_before_it() -> None:
    made, sent, _ = emission()
    tasks = await started(made, 4)
    assert [event[0] for event in sent] == [1, 2, 3, 4]
    made.acknowledged(3, 12)
    made.acknowledged(4, 99)
    assert await asyncio.gather(*tasks) == [10, 11, 12, 99]


async def test_what_was_refused_takes_no_number() -> None:
    made, _, _ = emission()
    tasks = await started(made, 4)
    made.refused(2, LimitExceeded("slow down"))
    made.acknowledged(4, 12)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[1], LimitExceeded)
    assert [outcome for outcome in outcomes if outcome is not outcomes[1]] == [10, 11, 12]


async def test_refusals_alone_make_room() -> None:
    made, _, _ = emission()
    tasks = await started(made, 2)
    made.refused(2, LimitExceeded("slow down"))
    made.refused(1, LimitExceeded("slow down"))
    assert repr(made) == "<Emission 0 under way, 0 bytes>"
    assert all(isinstance(one, LimitExceeded) for one in await asyncio.gather(*tasks, return_exceptions=True))
    (task,) = await started(made, 1)
    made.acknowledged(3, 1)
    assert await task == 1


@pytest.mark.parametrize("seq", [0, -1, 1, 4, 2**62])
async def test_an_answer_to_what_is_not_under_way_is_a_violation(seq: int) -> None:
    made, _, _ = emission()
    tasks = await started(made, 3)
    made.acknowledged(1, 1)
    made.refused(2, LimitExceeded("slow down"))
    answers: list[Callable[[], None]] = [
        lambda: made.acknowledged(seq, 9),
        lambda: made.refused(seq, LimitExceeded("")),
        lambda: made.refused(2, LimitExceeded("")),
        lambda: made.acknowledged(3, None),
    ]
    for answer in answers:
        with pytest.raises(BadAcknowledgement, match="which is not under way"):
            answer()
    made.acknowledged(3, 2)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [1, 2]


async def test_the_end_ends_who_waits() -> None:
    made, _, _ = emission()
    tasks = await started(made, 2)
    made.close("the channel ended")
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, Disconnected)
    with pytest.raises(Disconnected, match="the channel ended; the event may or may not"):
        await made.post("X", b"{}")


async def test_answers_after_the_end_are_nobodys() -> None:
    made, _, _ = emission()
    tasks = await started(made, 2)
    made.close("the registration ended")
    made.acknowledged(1, 1)
    made.refused(2, LimitExceeded("slow down"))
    assert all(isinstance(one, Disconnected) for one in await asyncio.gather(*tasks, return_exceptions=True))


async def test_who_gave_up_waiting_harms_nobody() -> None:
    made, _, _ = emission()
    tasks = await started(made, 3)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    made.refused(1, LimitExceeded("slow down"))
    made.acknowledged(2, 1)
    made.close("the channel ended")


async def test_a_posted_event_that_is_refused_is_complained_of() -> None:
    made, sent, complaints = emission()
    await made.post("X", b"{}")
    made.refused(1, LimitExceeded("slow down"))
    await made.post("X", b"{}")
    made.acknowledged(2, 1)
    assert len(sent) == 2
    assert [str(one) for one in complaints] == ["slow down"]


@pytest.mark.parametrize("size", [2, MAX_UNDERWAY_BYTES // 4])
async def test_the_number_and_the_bytes_under_way_are_bounded(size: int) -> None:
    made, sent, _ = emission()
    posted = 0

    async def flood() -> None:
        nonlocal posted
        while True:
            await made.post("X", b" " * size)
            posted += 1

    async with anyio.create_task_group() as group:
        group.start_soon(flood)
        await anyio.wait_all_tasks_blocked()
        assert posted == len(sent) == min(MAX_UNDERWAY, MAX_UNDERWAY_BYTES // (size + 41))
        first = posted
        made.acknowledged(first, first)
        await anyio.wait_all_tasks_blocked()
        assert posted == 2 * first
        group.cancel_scope.cancel()


async def test_an_event_as_large_as_the_window_goes_alone() -> None:
    made, sent, _ = emission()
    await made.post("X", b" " * MAX_EVENT_BYTES)
    assert len(sent) == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8))
async def test_any_answers_number_as_the_journal_does(answers: list[tuple[bool, bool]]) -> None:
    made, _, _ = emission()
    tasks = await started(made, len(answers))
    journal, wanted = 0, []
    for seq, (is_refused, is_told) in enumerate(answers, 1):
        if is_refused:
            made.refused(seq, LimitExceeded("slow down"))
            wanted.append(0)
            continue
        journal += 1
        wanted.append(journal)
        if is_told:
            made.acknowledged(seq, journal)
    if made._underway:
        made.acknowledged(len(tasks), journal)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [0 if isinstance(outcome, LimitExceeded) else outcome for outcome in outcomes] == wanted
    assert repr(made) == "<Emission 0 under way, 0 bytes>"


class Tick(Data, frozen=True):
    unit_name: str


def test_data_become_json_with_the_names_of_the_wire() -> None:
    assert event_text("X", Tick(unit_name="s")) == b'{"unit-name":"s"}'
    assert event_text("X", {"a": [1, None]}) == b'{"a":[1,null]}'


@pytest.mark.parametrize("value", [object(), "\ud800", {1: object()}])
def test_what_json_has_not(value: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^X: "):
        event_text("X", {"a": value})


def test_what_is_too_large() -> None:
    with pytest.raises(TooLarge, match="at most"):
        event_text("X", {"a": "x" * MAX_EVENT_BYTES})
