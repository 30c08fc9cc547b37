"""A provider: commands of the stock agent that need something of the platform."""

from __future__ import annotations

from typing import ClassVar, Protocol

from guestmux_transport.bus import Bus

OK = "ok"
"""The state of a provider that has all it needs."""


class ProviderHost(Protocol):
    """What a provider needs of its agent."""

    @property
    def session(self) -> str:
        """The session, as eventd tied it."""

    @property
    def bus(self) -> Bus:
        """The system bus. Raises Disconnected."""

    @property
    def states(self) -> dict[str, str]:
        """Every provider: OK, or what the platform lacks."""

    async def look(self) -> None:
        """Have the states that nobody watches looked at."""


class Provider:
    """Base of the providers; the commands are its methods.

    Attributes:
        name: as session-get-info shows it: the file's name, with dashes.
    """

    name: ClassVar[str]

    def __init__(self, host: ProviderHost) -> None:
        self._host = host
