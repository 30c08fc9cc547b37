"""What a check has found."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """How a check ended."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    SKIP = "SKIP"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of one check.

    Attributes:
        check: its name.
        status: how it ended.
        text: what was seen.
        todo: where it failed or was left out: what the agent's author does next.
    """

    check: str
    status: Status
    text: str
    todo: str = ""


def passed(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Status.PASS, text)


def failed(check: str, text: str, todo: str) -> Finding:
    """The agent breaks a rule."""
    return Finding(check, Status.FAIL, text, todo)


def skipped(check: str, text: str, todo: str = "") -> Finding:
    """Nobody looked."""
    return Finding(check, Status.SKIP, text, todo)


def of_faults(check: str, faults: Sequence[str], text: str, todo: str) -> Finding:
    """Passed where there is no fault; else failed with the first one, and how many there are."""
    if not faults:
        return passed(check, text)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return failed(check, faults[0] + more, todo)
