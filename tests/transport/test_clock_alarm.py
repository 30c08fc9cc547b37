"""The timer that is cancelled by setting the clock; the clock is really set in tests/vm."""

from __future__ import annotations

import ctypes
import errno
import os
import time

import anyio.lowlevel
import pytest

from guestmux_transport import clock_alarm
from guestmux_transport.clock_alarm import ClockAlarm

pytestmark = pytest.mark.anyio


async def test_it_costs_nothing_while_nobody_sets_the_clock() -> None:
    calls: list[None] = []
    alarm = ClockAlarm(lambda: calls.append(None))
    await anyio.lowlevel.checkpoint()
    alarm._look()
    alarm.close()
    assert calls == []


async def test_it_calls_and_is_armed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    called = anyio.Event()
    alarm = ClockAlarm(called.set)
    # A time in the past stands for a clock that was set: both make the descriptor readable.
    past = clock_alarm._ITimerSpec(clock_alarm._TimeSpec(0, 0), clock_alarm._TimeSpec(1, 0))
    libc = ctypes.CDLL(None)
    assert libc.timerfd_settime(alarm._fd, 1, ctypes.byref(past), None) == 0
    await called.wait()
    with pytest.raises(BlockingIOError):
        os.read(alarm._fd, 8)
    alarm.close()


async def test_what_the_kernel_says_of_a_clock_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    called = anyio.Event()
    alarm = ClockAlarm(called.set)

    def cancelled(_fd: int, _size: int) -> bytes:
        raise OSError(errno.ECANCELED, "Operation canceled")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", cancelled)
        alarm._look()
    alarm.close()
    assert called.is_set()


async def test_no_timer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "CLOCK_REALTIME", 4711)
    with pytest.raises(OSError, match="Invalid argument"):
        ClockAlarm(lambda: None)
