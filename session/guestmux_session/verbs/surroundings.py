"""Where the processes that a host starts live: what is in their environment, where they start, whose they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

_OF_THE_AGENT_ALONE = frozenset(
    {
        "CREDENTIALS_DIRECTORY",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "MAINPID",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
        "NOTIFY_SOCKET",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)
"""What the agent's unit and systemd tell the agent about itself: for a program that it starts it would be wrong."""


def inherited() -> dict[str, str]:
    """The agent's environment as far as it is for others, too."""
    return {name: value for name, value in os.environ.items() if name not in _OF_THE_AGENT_ALONE}


class Surroundings(Protocol):
    """What starting a process needs to know of the agent."""

    @property
    def directory(self) -> str | None:
        """Where processes start; None for where the agent is."""

    @property
    def adopts(self) -> bool:
        """Whether there is another place for processes than beside the agent: they do nothing before they are there."""

    async def environment(self, given: Mapping[str, str] | None) -> dict[str, str]:
        """A process's environment.

        Args:
            given: what the host asked for; None where it asked for nothing.
        """

    async def adopt(self, pid: int) -> None:
        """Put a process that was just started where it belongs, as well as it goes."""


class SystemSurroundings:
    """As in qemu-ga: the agent's environment, or exactly the one that was given; everything else is the agent's."""

    directory = None
    adopts = False

    async def environment(self, given: Mapping[str, str] | None) -> dict[str, str]:
        """What was given replaces the agent's."""
        return inherited() if given is None else dict(given)

    async def adopt(self, pid: int) -> None:
        """It is where it belongs: beside the agent."""
