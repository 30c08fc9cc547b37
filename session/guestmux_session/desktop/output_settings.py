"""What hosts ask of displays, checked before anybody is asked; and what all kinds of displays have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from msgspec import UNSET, UnsetType

from guestmux_protocol.display_commands import DisplayMode, DisplaySetting, Rotation
from guestmux_session.errors import CommandError

SAME_REFRESH = 0.5
"""Hertz between what is asked for and what is taken for it: 59.94 is what people call 60."""

QUARTERS: tuple[Rotation, ...] = ("normal", "left", "inverted", "right")
"""By quarter turns against the clock."""


class Sized(Protocol):
    """A mode, in whatever form."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def refresh(self) -> float:
        """Hertz; 0: unknown."""


SizedType = TypeVar("SizedType", bound=Sized)


def check_settings(settings: Sequence[DisplaySetting], names: Collection[str]) -> None:
    """Raises CommandError for what no display server could do.

    Args:
        settings: what a host asks for.
        names: of the displays that there are.
    """
    seen: set[str] = set()
    for setting in settings:
        name = setting.name
        if name not in names:
            raise CommandError(f"there is no display '{name}'; session-list-displays tells which there are")
        if name in seen:
            raise CommandError(f"display '{name}' is named twice")
        seen.add(name)
        for one, other in (("width", "height"), ("x", "y")):
            if (getattr(setting, one) is UNSET) != (getattr(setting, other) is UNSET):
                raise CommandError(f"display '{name}': '{one}' and '{other}' go together")
        if setting.refresh is not UNSET and setting.width is UNSET:
            raise CommandError(f"display '{name}': 'refresh' goes with 'width' and 'height'")
        if setting.enabled is False and _asks_for_more(setting):
            raise CommandError(f"display '{name}' is to be off, and to be set: one or the other")


def check_some_on(configurations: Iterable[object | None]) -> None:
    """Raises CommandError where all displays would be off."""
    if all(one is None for one in configurations):
        raise CommandError("one display must stay on")


def chosen(modes: Iterable[SizedType], size: tuple[int, int], refresh: float | UnsetType) -> SizedType | None:
    """The mode that is meant; None: there is none.

    Args:
        modes: those that a display has.
        size: its width and height.
        refresh: hertz; the most where not given.
    """
    fitting = [mode for mode in modes if (mode.width, mode.height) == size]
    if refresh is UNSET:
        return max(fitting, key=lambda mode: mode.refresh, default=None)
    wanted = refresh
    near = [mode for mode in fitting if abs(mode.refresh - wanted) <= SAME_REFRESH]
    return min(near, key=lambda mode: abs(mode.refresh - wanted), default=None)


def by_size(modes: Iterable[DisplayMode]) -> list[DisplayMode]:
    """Modes with the largest first, each once."""
    best: dict[tuple[int, int, float], DisplayMode] = {}
    for mode in modes:
        key = mode.width, mode.height, mode.refresh
        if key not in best or mode.preferred:
            best[key] = mode
    return [best[key] for key in sorted(best, key=lambda key: (key[0] * key[1], *key), reverse=True)]


def _asks_for_more(setting: DisplaySetting) -> bool:
    others = ("width", "x", "scale", "rotation", "mirrored")
    return any(getattr(setting, name) is not UNSET for name in others) or setting.primary is True
