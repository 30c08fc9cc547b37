"""An agent as a process of its own: signals, readiness, log."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from guestmux_session.news import News
from guestmux_transport.sd_notify import notify

FORMAT = "%(levelname)s %(name)s: %(message)s"
"""Without a time: the journal has its own, and by hand one looks at it as it happens."""

Run = Callable[[], Coroutine[Any, Any, None]]

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Puts the priority before each line, as the journal reads it (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """One record, each line with the priority."""
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up_logging(level: str = "info") -> None:
    """Log to stderr, in the journal's form where stderr is the journal; nothing where logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter((JournalFormatter if "JOURNAL_STREAM" in os.environ else logging.Formatter)(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def run_process(run: Run, news: News) -> None:
    """Run an agent until SIGTERM or SIGINT; tells systemd when it is ready, how it stands, and that it stops.

    Args:
        run: runs until cancelled.
        news: how the agent stands.
    """
    set_up_logging()
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
