from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from guestmux_transport.deadlines import Deadlines
from tests.support.pipes import turns

pytestmark = pytest.mark.anyio


class Call:
    """Tells that it expired."""

    ends: float

    def __init__(self, name: str, told: list[str], then: Callable[[], None] | None = None) -> None:
        self.name = name
        self._told = told
        self._then = then
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self._told.append(self.name)
        self.expired.set()
        if self._then:
            self._then()


async def test_what_is_earlier_expires_first_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, deadlines, told = asyncio.get_running_loop(), Deadlines(), list[str]()
    late, long, early = (Call(name, told) for name in ("late", "long", "early"))
    with monkeypatch.context() as still:
        now = loop.time()
        still.setattr(loop, "time", lambda: now)
        deadlines.add(late, 0.02)
        deadlines.add(long, 3600)
        deadlines.add(early, 0.01)
    assert repr(deadlines) == "<Deadlines 3>"
    await late.expired.wait()
    assert told == ["early", "late"]
    assert repr(deadlines) == "<Deadlines 1>"


async def test_what_was_dropped_does_not_expire() -> None:
    deadlines, told = Deadlines(), list[str]()
    dropped, kept = Call("dropped", told), Call("kept", told)
    deadlines.add(dropped, 0)
    deadlines.add(kept, 0)
    deadlines.drop(dropped)
    deadlines.drop(dropped)
    await kept.expired.wait()
    assert told == ["kept"]
    deadlines.add(dropped, 0)
    deadlines.drop(dropped)
    await turns()
    assert told == ["kept"]


async def test_one_that_expires_may_drop_another() -> None:
    deadlines, told = Deadlines(), list[str]()
    other = Call("other", told)
    first = Call("first", told, lambda: deadlines.drop(other))
    last = Call("last", told)
    for call in (first, other, last):
        deadlines.add(call, 0)
    await last.expired.wait()
    assert told == ["first", "last"]


async def test_what_one_raises_costs_no_other_its_end() -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    raised = list[object]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: raised.append(context["exception"])
    )
    deadlines, told = Deadlines(), list[str]()
    first, last = Call("first", told, fail), Call("last", told)
    deadlines.add(first, 0)
    deadlines.add(last, 0)
    await last.expired.wait()
    assert told == ["first", "last"]
    assert [str(error) for error in raised] == ["on purpose"]


async def test_a_thousand_that_are_met_take_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counted(when: float, *arguments: object) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_at", counted)
    deadlines = Deadlines()
    for number in range(1000):
        call = Call(str(number), [])
        deadlines.add(call, 30)
        deadlines.drop(call)
    assert len(timers) == 1
