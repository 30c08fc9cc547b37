"""Says in words how it went, and what was killed when something went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.chaos.hearing import Finding, Hearing
from tests.chaos.monkey import Deed

AROUND_SECONDS = 3.0
"""What was done so long before a finding may be its cause."""

SHOWN = 12
"""Findings that are told in full: the first is the one that counts."""

LAST_DEEDS = 60
"""Deeds that are shown where nobody knows when it went wrong: all of a short round."""


def tell_findings(findings: Sequence[Finding], diary: Sequence[Deed]) -> str:
    """What is wrong, with what was done around that time; the first line says it in short."""
    begin = diary[0].time if diary else 0.0
    first, _, _ = findings[0].text.partition("\n")
    lines = [f"{len(findings)} findings, the first: {findings[0].host or 'eventd'}: {first}"]
    for finding in findings[:SHOWN]:
        when = f" at {finding.time - begin:.2f} s" if finding.time else ""
        lines.append(f"{finding.host or 'eventd'}{when}: {finding.text}")
        lines += [f"    {deed.time - begin:.2f} s: {deed.what}" for deed in _around(finding, diary)]
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN} more")
    if not all(finding.time for finding in findings):
        lines.append("what was done:")
        lines += [f"    {deed.time - begin:.2f} s: {deed.what}" for deed in diary[-LAST_DEEDS:]]
    return "\n".join(lines)


def tell_hearing(hearing: Hearing) -> str:
    """How much a host heard, in a line."""
    claimed = sum(claims.last - claims.first + 1 for _place, claims in hearing.claims)
    gaps = Counter(gap.told.reason for gap in hearing.gaps)
    named = ", ".join(f"{count} {reason}" for reason, count in sorted(gaps.items()))
    return f"{hearing.host}: {len(hearing.said)} verified, {claimed} claimed, gaps: {named or 'none'}"


def _around(finding: Finding, diary: Iterable[Deed]) -> list[Deed]:
    if not finding.time:
        return []
    return [deed for deed in diary if -AROUND_SECONDS <= deed.time - finding.time <= AROUND_SECONDS / 3]
