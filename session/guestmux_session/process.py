"""An agent as a process of its own: signals, readiness, log."""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio

from guestmux_session.news import News
from guestmux_transport.allocator import keep_little
from guestmux_transport.logs import configure_logging
from guestmux_transport.sd_notify import notify

HOLD_LOOK = 0.1
"""Seconds between two looks whether a process that was asked to stop may; there are none before that."""

Run = Callable[[], Coroutine[Any, Any, None]]
Hold = Callable[[], bool]


def run_process(run: Run, news: News, hold: Hold = lambda: False) -> None:
    """Run an agent until SIGTERM or SIGINT; tells systemd when it is ready, how it stands, and that it stops.

    Args:
        run: runs until cancelled.
        news: how the agent stands.
        hold: whether it must go on for now: then it stops when that ends, or by a second signal.
    """
    keep_little()
    if not logging.getLogger().handlers:
        configure_logging("info")
    news.listener = _tell_systemd
    anyio.run(_run, run, hold)


def _tell_systemd(state: str) -> None:
    # Ready is who has made the first attempt: an eventd that is not there yet must not fail the unit.
    notify("READY=1", f"STATUS={state}")


async def _run(run: Run, hold: Hold) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await _asked_to_stop(signals, hold)
            notify("STOPPING=1")
            group.cancel_scope.cancel()


async def _asked_to_stop(signals: AsyncIterator[signal.Signals], hold: Hold) -> None:
    await anext(signals)
    async with anyio.create_task_group() as group:

        async def second() -> None:
            await anext(signals)
            group.cancel_scope.cancel()

        group.start_soon(second)
        while hold():  # noqa: ASYNC110 - a thread ends it, seldom, and without knowing of this
            await anyio.sleep(HOLD_LOOK)
        group.cancel_scope.cancel()
