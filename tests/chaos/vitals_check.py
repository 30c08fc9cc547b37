"""Whether eventd kept to its bounds, and said nothing that it should not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.chaos.hearing import Finding
from tests.chaos.vitals import Vital

EXPECTED = re.compile(
    r"INFO: .*"
    r"|ERROR: (the bus (is lost|at|closed during)|no D-Bus at)\b.*; ports are still served, trying again"
    r"|WARNING: POWER_\w+: a host did not take it in time"
    r"|WARNING: no (TIME_CHANGED|NETWORK_CHANGED|DISK_PRESSURE) events: .*"
    r"|WARNING: no delay inhibitor: the host may learn of a sleep too late: .*"
    r"|WARNING: no delay inhibitor: the host may learn of a shutdown too late: .*"
    r"|WARNING: agent '[\w.]+' of :\d+\.\d+ refused: .*"
    r"|WARNING: logind: .*"
    r"|WARNING: agent '[\w.]+' was not told that its session ended: .*"
    r"|WARNING: agents were not told what changed: .*"
)
"""Lines of eventd's log while its world is killed around it."""

SHOWN = 20
"""Unexpected lines that are shown."""


def check_vitals(samples: list[Vital], *, memory: int, disk: int) -> Iterator[Finding]:
    """Find that eventd grew too large.

    Args:
        samples: of its whole life.
        memory: resident bytes that it may have.
        disk: bytes that its journal may have.
    """
    for what, most, sample in (
        ("memory", memory, max(samples, key=lambda each: each.memory, default=None)),
        ("disk", disk, max(samples, key=lambda each: each.disk, default=None)),
    ):
        used = getattr(sample, what) if sample else 0
        if sample is None or used > most:
            text = f"eventd used {used >> 20} MiB of {what}, more than {most >> 20} MiB"
            yield Finding("", text, sample.time if sample else 0.0)


def check_log(log: str) -> Iterator[Finding]:
    """Find what eventd should not have logged."""
    unexpected = [line for line in log.splitlines() if not EXPECTED.fullmatch(line)]
    for line in unexpected[:SHOWN]:
        yield Finding("", f"eventd logged: {line[:300]}")
