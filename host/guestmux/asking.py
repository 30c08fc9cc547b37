"""What every command is asked with: its arguments as on the wire, where it goes, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CALL_TIMEOUT = 30.0
"""Seconds for a call where nothing else is said: as long as eventd gives an agent."""

GUEST_MAX_TIMEOUT = 24 * 3600.0
"""The longest `timeout` that eventd takes."""

GRACE = 2.0
"""Seconds that a call outlives the deadline told to eventd, so that eventd's word on what became of it comes first."""


def asking(
    arguments: Mapping[str, Any] | None,
    more: Mapping[str, Any],
    session: str | None,
    wait: float | None,
    timeout: float | None,
) -> tuple[dict[str, Any], float]:
    """All arguments of a command as on the wire, and the seconds until it is given up here."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    routing = _routing(session, wait, timeout)
    patience = (CALL_TIMEOUT if timeout is None else timeout) + (wait or 0.0) + (GRACE if routing else 0.0)
    return {**(arguments or {}), **named, **routing}, patience


def _routing(session: str | None, wait: float | None, timeout: float | None) -> dict[str, Any]:
    """What eventd is told about where and how long; a stock qemu-ga would refuse it, so only what is needed."""
    routing = {"session": session, "wait": wait}
    if session is not None or wait is not None:
        routing["timeout"] = None if timeout is None else min(timeout, GUEST_MAX_TIMEOUT)
    return {name: value for name, value in routing.items() if value is not None}
