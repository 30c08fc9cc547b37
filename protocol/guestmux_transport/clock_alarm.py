"""A descriptor that tells when the wall clock is set: timerfd_create(2) with TFD_TIMER_CANCEL_ON_SET.

Python has these calls since 3.13; before, they are the C library's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from typing import Final

from guestmux_transport.edge import edge_poller

_TFD_NONBLOCK, _TFD_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_TFD_TIMER_ABSTIME, _TFD_TIMER_CANCEL_ON_SET = 1, 2

NEVER: Final = 1 << 40
"""Seconds since the epoch at which it would go off by itself, in the year 36812."""


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _ITimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


class ClockAlarm:
    """Calls when somebody sets the clock, and when the machine resumes.

    Args:
        on_set: called in the loop, once for any number of settings that come together.

    Raises:
        OSError: the kernel gives no timer.
    """

    def __init__(self, on_set: Callable[[], None]) -> None:
        self._on_set = on_set
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.timerfd_create(time.CLOCK_REALTIME, _TFD_NONBLOCK | _TFD_CLOEXEC))
        try:
            self._arm()
            self._watch = edge_poller().watch(self._fd, lambda _events: self._look())
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Call no more."""
        self._watch.stop()
        os.close(self._fd)

    def _look(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm()
        self._on_set()

    def _arm(self) -> None:
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        never = _ITimerSpec(_TimeSpec(0, 0), _TimeSpec(NEVER, 0))
        self._checked(self._libc.timerfd_settime(self._fd, flags, ctypes.byref(never), None))

    def _checked(self, result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
