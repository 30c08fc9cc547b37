"""What a source of displays is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from guestmux_protocol.display_commands import Display, Displays, DisplaySetting, DisplayState


class OutputSource(Protocol):
    """A display server's displays.

    Attributes:
        name: as session-get-info shows it.
    """

    name: str

    async def displays(self) -> Displays:
        """All of them, as they are now. Raises DisplayError."""

    async def set(self, settings: Sequence[DisplaySetting], *, test: bool) -> None:
        """Set them, as a whole or not at all.

        Args:
            settings: what is to be different.
            test: only find out whether it could be.

        Raises:
            CommandError: it cannot be.
            DisplayError: as `displays`.
        """

    async def follow(self, changed: Callable[[], None]) -> None:
        """Tell when they may have changed, until it ends by DisplayLost."""


def states_of(displays: Displays) -> list[DisplayState]:
    """How displays are set, without what else they could be."""
    return [_state(display) for display in displays.displays]


def _state(display: Display) -> DisplayState:
    members = {name: getattr(display, name) for name in DisplayState.__struct_fields__}
    return DisplayState(**members)
