"""Telling systemd that eventd lives (WATCHDOG=1 in sd_notify(3))."""

from __future__ import annotations

import os

import anyio

from guestmux_transport.sd_notify import notify


def watchdog_interval() -> float | None:
    """Seconds between signs of life that systemd wants; None when it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None


async def keep_watchdog_quiet() -> None:
    """Give signs of life from the loop: when it hangs, they stop and systemd restarts eventd."""
    interval = watchdog_interval()
    while interval:
        notify("WATCHDOG=1")
        await anyio.sleep(interval)
