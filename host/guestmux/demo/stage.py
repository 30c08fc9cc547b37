"""What a guest has to offer for the story to be played on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Stage(Protocol):
    """A guest with eventd, and with users who can be made to do things.

    Every method raises DemoError, or BusError, when the guest does not do it.
    """

    comes_back: bool
    """Whether it can go on after a shutdown."""

    pace: float
    """How many times longer than on an idle machine things may take."""

    one_clock: bool
    """Whether the guest's clock is this machine's; a virtual machine's own is off by up to a second."""

    @property
    def address(self) -> str:
        """How the host reaches eventd, as `guestmux -c` takes it."""

    @property
    def setting(self) -> Sequence[str]:
        """What this guest is, for the reader: what is real, and what is not."""

    @property
    def users(self) -> tuple[str, str]:
        """The two users' names."""

    async def login(self, user: str) -> str:
        """Log a user in on seat0, in the foreground, with a desktop and the stock agent; returns the session's id."""

    async def lock(self, session: str) -> None:
        """Have the session locked from inside the guest, as `loginctl lock-session` does."""

    async def set_idle(self, session: str, *, idle: bool) -> None:
        """Have the desktop say whether its user is idle."""

    async def crash_agent(self, session: str) -> None:
        """Kill the session's agent, so that it can say nothing."""

    async def start_agent(self, session: str) -> None:
        """Start the session's agent again, where the guest does not by itself."""

    async def shut_down(self) -> str:
        """Begin to shut the guest down; returns what became of it, for the reader."""

    async def keep_going(self) -> Sequence[tuple[str, str]]:
        """Bring the guest back to life after the shutdown; returns further commands to try, each with what it does."""
