"""Where the processes that a host starts live: what is in their environment, where they start, whose they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol


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
        return dict(os.environ if given is None else given)

    async def adopt(self, pid: int) -> None:
        """It is where it belongs: beside the agent."""
