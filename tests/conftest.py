"""Fixtures for all tests, and a time limit that async tests survive."""

import asyncio
import functools
import inspect
import signal
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager

import anyio
import pytest
from hypothesis import settings

# A shell starts what runs in the background with these ignored, and children inherit that: the tests of ^C and ^\\ need
# them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Without a deadline for each example: no test depends on how busy the machine is.
settings.register_profile("guestmux", settings.default, deadline=None)
settings.load_profile("guestmux")

ALARM_LEAD = 5.0
"""Seconds by which an async test is ended before pytest-timeout's alarm.

The alarm stops the loop but not the test, and the test's async fixtures, which end after it in the same task, are then
waited for without end: the run would hang where one test should fail.
"""

EXPLORING_SECONDS = 240
"""For tests by hypothesis, which are hundreds of tests each: on a busy machine, and with coverage measured."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that explore a limit of their own, where they do not say one."""
    for item in items:
        if item.get_closest_marker("hypothesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(EXPLORING_SECONDS))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, which is all that guestmux supports."""
    return "asyncio"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Give each async test its limit."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = _limited(pyfuncitem.obj, _seconds(pyfuncitem) - ALARM_LEAD)
    return (yield)


def _seconds(item: pytest.Function) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker and marker.args else item.config.getini("timeout"))


def _limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def limited(**fixtures: object) -> None:
        with _alarm(seconds) as scope:
            await test(**fixtures)
        if scope.cancelled_caught:
            pytest.fail(f"not done within {seconds:g} s")

    return limited


@contextmanager
def _alarm(seconds: float) -> Iterator[anyio.CancelScope]:
    """Cancel the block after a time that a thread keeps: tests of idling see no timer in the loop."""
    with anyio.CancelScope() as scope:
        loop = asyncio.get_running_loop()
        timer = threading.Timer(seconds, loop.call_soon_threadsafe, [scope.cancel])
        timer.start()
        try:
            yield scope
        finally:
            timer.cancel()
            timer.join()
