"""The tutorial of docs/agents.md, as the commands that stand in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
HEADING = "\n## Ten minutes: from nothing to an agent\n"


@dataclass(frozen=True)
class Step:
    """One block of commands.

    Attributes:
        text: the commands.
        host: whether they are the host's.
    """

    text: str
    host: bool


def tutorial() -> list[Step]:
    """Every block of the tutorial, in order."""
    _, heading, rest = PAGE.read_text().partition(HEADING)
    assert heading
    section = rest.partition("\n## ")[0]
    blocks = re.findall(r"^```(.*?)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert {kind for kind, _ in blocks} == {"sh", "sh host"}
    return [Step(text, kind == "sh host") for kind, text in blocks]


def check_output(guest: str, host: str) -> None:
    """Check what all commands of each side said together."""
    assert "PASS  __org.example_hello cancelled" in guest
    # The program, and then the unit.
    assert guest.count(" 0 failed, ") == 2
    assert "registered in session" in guest
    assert '"Hello, you!"' in host
    greeted, done = host.partition("__org.example_GREETED")[2], host.partition("__org.example_DONE")[2]
    assert "you" in greeted
    assert "the dishes" in done
