"""What a doctor finds, in the guest (`guestmux-eventd --doctor`) and on the host (`guestmux doctor`) alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from guestmux_protocol.printable import clean

Level = Literal["ok", "note", "problem"]

_LEVEL_WIDTH = len("problem")


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Args:
        level: `problem`: something does not work. `note`: worth knowing, or not to be seen from here.
        check: what was looked at, in a word or two.
        what: what was found, one line; may hold others' text.
        do: what to do about it, one line; empty where nothing is to be done.
    """

    level: Level
    check: str
    what: str
    do: str = ""


def ok(check: str, what: str) -> Finding:
    """Something that is as it should be."""
    return Finding("ok", check, what)


def note(check: str, what: str, do: str = "") -> Finding:
    """Something worth knowing that need not be wrong."""
    return Finding("note", check, what, do)


def problem(check: str, what: str, do: str) -> Finding:
    """Something that does not work."""
    return Finding("problem", check, what, do)


def exit_status(findings: Sequence[Finding]) -> int:
    """0: all well, notes or not. 1: problems."""
    return int(any(finding.level == "problem" for finding in findings))


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for programs; `problems` counts them."""
    rows = [
        {"level": finding.level, "check": finding.check, "what": finding.what, "do": finding.do}
        for finding in findings
    ]
    return {"problems": _count(findings, "problem"), "findings": rows}


def as_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """The findings for people: aligned, what to do below what was found, and a last line that counts."""
    checks = [clean(finding.check) for finding in findings]
    width = max(map(len, checks), default=0)
    for finding, check in zip(findings, checks, strict=True):
        yield f"{finding.level:{_LEVEL_WIDTH}}  {check:{width}}  {clean(finding.what)}"
        if finding.do:
            yield f"{'':{_LEVEL_WIDTH}}  {'':{width}}  -> {clean(finding.do)}"
    problems, notes = _count(findings, "problem"), _count(findings, "note")
    yield f"{problems or 'no'} problem{_plural(problems)}, {notes or 'no'} note{_plural(notes)}"


def _count(findings: Sequence[Finding], level: Level) -> int:
    return sum(finding.level == level for finding in findings)


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
