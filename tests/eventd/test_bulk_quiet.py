"""Memory is given back once after bulk, not while it runs, and never after a little."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guestmux_eventd import bulk_quiet
from guestmux_eventd.bulk_quiet import BULK_BYTES, QUIET, BulkQuiet


class Loop:
    """A loop whose time stands still until it is told."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def get_running_loop(self) -> Loop:
        return self

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        assert delay == QUIET
        self.timers.append(callback)

    def tick(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            timer()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(bulk_quiet, "asyncio", loop)
    return loop


def test_memory_is_given_back_once_when_bulk_is_over(loop: Loop) -> None:
    given: list[str] = []
    quiet = BulkQuiet(lambda: given.append("back"))
    quiet.moved(1)
    for _ in range(3):
        quiet.moved(BULK_BYTES)
        assert len(loop.timers) == 1
        loop.tick()
        assert not given
    loop.tick()
    assert given == ["back"]
    assert not loop.timers


def test_a_little_gives_nothing_back_and_leaves_no_timer(loop: Loop) -> None:
    given: list[str] = []
    quiet = BulkQuiet(lambda: given.append("back"))
    quiet.moved(BULK_BYTES - 1)
    loop.tick()
    assert (given, loop.timers) == ([], [])
    quiet.moved(1)
    loop.tick()
    assert given == ["back"]


def test_after_bulk_the_next_little_gives_nothing_back(loop: Loop) -> None:
    given: list[str] = []
    quiet = BulkQuiet(lambda: given.append("back"))
    quiet.moved(BULK_BYTES)
    loop.tick()
    quiet.moved(1)
    loop.tick()
    assert given == ["back"]
