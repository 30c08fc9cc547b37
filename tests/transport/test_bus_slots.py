"""How the few open calls that the bus allows are shared out among destinations."""

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.bus_slots import Slots
from guestmux_transport.errors import QueueFull

LIMITS = BusLimits()


def hoard(slots: Slots, destination: str) -> int:
    """Take all that a destination is given."""
    taken = 0
    while slots.take_now(destination):
        taken += 1
    return taken


async def settle() -> None:
    for _ in range(3):
        await checkpoint()


def test_one_destination_gets_its_share_and_no_more() -> None:
    slots = Slots(LIMITS)
    assert hoard(slots, ":1.1") == LIMITS.pending_per_destination


@pytest.mark.parametrize("hoarders", [8, 20, 30])
def test_destinations_that_never_answer_leave_room_for_another(hoarders: int) -> None:
    slots = Slots(LIMITS)
    for number in range(hoarders):
        assert hoard(slots, f":1.{number}") >= 1
    assert slots.take_now(":1.good")
    assert slots.total <= LIMITS.pending_calls


def test_what_is_given_back_can_be_taken_again() -> None:
    slots = Slots(LIMITS)
    for _ in range(1000):
        assert slots.take_now(":1.1")
        slots.release(":1.1")
    assert slots.total == slots.held(":1.1") == 0


@pytest.mark.anyio
async def test_a_full_destination_waits_and_another_goes_past() -> None:
    slots = Slots(LIMITS)
    hoard(slots, ":1.1")
    order: list[int] = []

    async def wait(number: int) -> None:
        await slots.take(":1.1")
        order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(wait, number)
        await settle()
        assert slots.take_now(":1.2")
        assert order == []
        for _ in range(3):
            slots.release(":1.1")
        await settle()
        assert order == [0, 1, 2]


@pytest.mark.anyio
async def test_nobody_overtakes_who_waits_for_the_same_destination() -> None:
    slots = Slots(LIMITS)
    hoard(slots, ":1.1")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, ":1.1")
        await settle()
        slots.release(":1.1")
        assert not slots.take_now(":1.1")


@pytest.mark.anyio
async def test_who_gives_up_leaves_nothing() -> None:
    slots = Slots(LIMITS)
    held = hoard(slots, ":1.1")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, ":1.1")
        group.start_soon(slots.take, ":1.1")
        await settle()
        group.cancel_scope.cancel()
    for _ in range(held):
        slots.release(":1.1")
    assert slots.total == 0
    assert slots.take_now(":1.1")


@pytest.mark.anyio
async def test_a_slot_given_to_who_gives_up_at_the_same_time_is_not_lost() -> None:
    slots = Slots(LIMITS)
    held = hoard(slots, ":1.1")
    waiting = asyncio.ensure_future(slots.take(":1.1"))
    await settle()
    slots.release(":1.1")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.total == held - 1


def test_who_does_not_answer_in_time_gets_no_more_until_it_does() -> None:
    slots = Slots(LIMITS)
    for _ in range(LIMITS.overdue_per_destination):
        assert slots.take_now(":1.1")
        slots.overdue(":1.1")
    assert not slots.take_now(":1.1")
    slots.release(":1.1", overdue=True)
    assert slots.take_now(":1.1")


@pytest.mark.anyio
async def test_waiting_is_bounded() -> None:
    slots = Slots(BusLimits(waiting_calls=1))
    hoard(slots, ":1.1")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, ":1.1")
        await settle()
        with pytest.raises(QueueFull):
            await slots.take(":1.1")
        group.cancel_scope.cancel()
