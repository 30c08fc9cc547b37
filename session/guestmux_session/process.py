"""An agent as a process of its own: signals, readiness, log."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from guestmux_session.news import News
from guestmux_transport.logs import configure_logging
from guestmux_transport.sd_notify import notify

Run = Callable[[], Coroutine[Any, Any, None]]


def run_process(run: Run, news: News) -> None:
    """Run an agent until SIGTERM or SIGINT; tells systemd when it is ready, how it stands, and that it stops.

    Args:
        run: runs until cancelled.
        news: how the agent stands.
    """
    if not logging.getLogger().handlers:
        configure_logging("info")
    news.listener = _tell_systemd
    anyio.run(_run, run)


def _tell_systemd(state: str) -> None:
    # Ready is who has made the first attempt: an eventd that is not there yet must not fail the unit.
    notify("READY=1", f"STATUS={state}")


async def _run(run: Run) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await anext(signals)
            notify("STOPPING=1")
            group.cancel_scope.cancel()
