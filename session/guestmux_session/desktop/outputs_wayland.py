"""The displays of a Wayland compositor, by wlr-output-management."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio
from msgspec import UNSET, structs

from guestmux_protocol.display_commands import (
    MAX_DISPLAYS,
    MAX_MODES,
    Display,
    DisplayMode,
    Displays,
    DisplaySetting,
)
from guestmux_session.desktop.errors import DisplayLost
from guestmux_session.desktop.output_settings import (
    QUARTERS,
    by_size,
    check_settings,
    check_some_on,
    chosen,
)
from guestmux_session.desktop.wayland_connection import Proxy
from guestmux_session.desktop.wayland_heads import Head, HeadMode, Outcome, Picture, WaylandHeads
from guestmux_session.errors import CommandError

ATTEMPTS = 2
"""How often a change is asked for: what was cancelled, because something else changed meanwhile, is asked once more."""

_MIRRORED = 4


@dataclass(frozen=True)
class Wanted:
    """What an output is to show. All of it is told, since what a compositor says of an output may not be all it knows.

    Attributes:
        mode: one of its own; or width, height and millihertz; None: as it is.
        place, transform, scale: as in `Picture`.
    """

    mode: HeadMode | tuple[int, int, int] | None
    place: tuple[int, int] | None
    transform: int
    scale: float


class WlrOutputs:
    """The outputs of a compositor.

    Args:
        heads: them, as they are told.
    """

    name = "wayland-wlr"

    def __init__(self, heads: WaylandHeads) -> None:
        self._heads = heads

    async def displays(self) -> Displays:
        """What is known of them."""
        await self._heads.sync()
        heads = [*self._heads.heads.values()]
        shown = [_display(head, self._heads.picture(head)) for head in heads[:MAX_DISPLAYS]]
        return Displays(displays=shown, truncated=self._heads.truncated or len(heads) > MAX_DISPLAYS)

    async def set(self, settings: Sequence[DisplaySetting], *, test: bool) -> None:
        """Have the compositor test it, then do it."""
        for _ in range(ATTEMPTS):
            await self._heads.sync()
            outcome = await self._asked(settings, test=test)
            if outcome == "succeeded":
                # What became of it comes with the next events.
                await self._heads.sync()
                return
            if outcome == "failed":
                raise CommandError("the compositor does not set its outputs so")
        raise CommandError("the outputs are just changing; ask again")

    async def follow(self, changed: Callable[[], None]) -> None:
        """Hear of changes."""
        async with anyio.create_task_group() as group:

            async def until_lost() -> None:
                await self._heads.wait_lost()
                group.cancel_scope.cancel()

            group.start_soon(until_lost)
            while True:
                await self._heads.changed.wait()
                changed()
        raise DisplayLost(f"lost the Wayland compositor: {self._heads.lost_reason}")

    async def _asked(self, settings: Sequence[DisplaySetting], *, test: bool) -> Outcome:
        if self._heads.truncated:
            raise CommandError("there are more displays than can be set at once")
        pictures = {head: self._heads.picture(head) for head in self._heads.heads.values()}
        wanted = wanted_of(pictures, settings)
        outcome = await self._heads.outcome(self._configuration(wanted), "test")
        if test or outcome != "succeeded":
            return outcome
        return await self._heads.outcome(self._configuration(wanted), "apply")

    def _configuration(self, wanted: Mapping[Head, Wanted | None]) -> Proxy:
        configuration = self._heads.configuration()
        for head, one in wanted.items():
            if head.proxy.id not in self._heads.heads:
                # It has just gone, and the compositor cancels what was made before it did.
                continue
            if one is None:
                configuration.ask("disable_head", head.proxy)
            else:
                created = configuration.ask("enable_head", head.proxy)
                assert created is not None
                _configure(created, one)
        return configuration


Pictures = Mapping[Head, Picture | None]


def wanted_of(pictures: Pictures, settings: Sequence[DisplaySetting]) -> dict[Head, Wanted | None]:
    """What each output is to show; None: that it is to be off.

    Args:
        pictures: what each shows now.
        settings: what a host asks for.

    Raises:
        CommandError: it cannot be done.
    """
    by_name = {head.name: head for head in pictures}
    check_settings(settings, by_name)
    wanted = {head: None if now is None else _as_it_is(head, now) for head, now in pictures.items()}
    for setting in settings:
        head = by_name[setting.name]
        wanted[head] = _changed(head, pictures[head], setting)
    check_some_on(wanted.values())
    for head, one in wanted.items():
        if one is not None and one.place is None:
            wanted[head] = replace(one, place=_right_of_all(wanted))
    return wanted


def _as_it_is(head: Head, now: Picture) -> Wanted:
    told = head.modes.get(head.current)
    if told is not None and told.width:
        return Wanted(told, now.place, now.transform, now.scale)
    # A mode that is none of its own.
    mode = (now.width, now.height, round(now.refresh * 1000)) if now.width else None
    return Wanted(mode, now.place, now.transform, now.scale)


def _changed(head: Head, now: Picture | None, setting: DisplaySetting) -> Wanted | None:
    if setting.enabled is False:
        return None
    if setting.primary is True:
        raise CommandError(f"display '{head.name}': on Wayland no display is the first")
    base = Wanted(_best(head), None, 0, 1.0) if now is None else _as_it_is(head, now)
    turns = base.transform % 4 if setting.rotation is UNSET else QUARTERS.index(setting.rotation)
    mirrored = base.transform >= _MIRRORED if setting.mirrored is UNSET else setting.mirrored
    return Wanted(
        mode=_mode_of(head, setting) or base.mode,
        place=(setting.x, setting.y) if setting.x is not UNSET and setting.y is not UNSET else base.place,
        transform=turns + _MIRRORED * mirrored,
        scale=base.scale if setting.scale is UNSET else setting.scale,
    )


def _mode_of(head: Head, setting: DisplaySetting) -> HeadMode | tuple[int, int, int] | None:
    if setting.width is UNSET or setting.height is UNSET:
        return None
    size = setting.width, setting.height
    millihertz = 0 if setting.refresh is UNSET else round(setting.refresh * 1000)
    return chosen(head.modes.values(), size, setting.refresh) or (*size, millihertz)


def _best(head: Head) -> HeadMode | None:
    """The mode of one that is switched on."""
    modes = (mode for mode in head.modes.values() if mode.width)
    return max(modes, key=lambda mode: (mode.preferred, mode.width * mode.height, mode.refresh), default=None)


def _right_of_all(wanted: Mapping[Head, Wanted | None]) -> tuple[int, int]:
    placed = [
        (one.place, _extent(one)) for one in wanted.values() if one is not None and one.place is not None
    ]
    right = max((place[0] + extent[0] for place, extent in placed), default=0)
    return right, min((place[1] for place, _ in placed), default=0)


def _extent(wanted: Wanted) -> tuple[int, int]:
    if isinstance(wanted.mode, HeadMode):
        size = wanted.mode.width, wanted.mode.height
    else:
        size = wanted.mode[:2] if wanted.mode is not None else (0, 0)
    return _shown(size, wanted.transform, wanted.scale)


def _shown(size: tuple[int, int], transform: int, scale: float) -> tuple[int, int]:
    """How much of the desktop an output shows."""
    width, height = size if transform % 2 == 0 else size[::-1]
    return round(width / scale), round(height / scale)


def _configure(configured: Proxy, wanted: Wanted) -> None:
    if isinstance(wanted.mode, HeadMode):
        configured.ask("set_mode", wanted.mode.proxy)
    elif wanted.mode is not None:
        configured.ask("set_custom_mode", *wanted.mode)
    if wanted.place is not None:
        configured.ask("set_position", *wanted.place)
    configured.ask("set_transform", wanted.transform)
    configured.ask("set_scale", wanted.scale)


def _display(head: Head, picture: Picture | None) -> Display:
    modes = by_size(_mode(mode) for mode in head.modes.values() if mode.width)
    off = Display(
        name=head.name,
        connected=True,
        enabled=False,
        width_mm=head.size_mm[0] or UNSET,
        height_mm=head.size_mm[1] or UNSET,
        make=head.make or UNSET,
        model=head.model or UNSET,
        modes=modes[:MAX_MODES],
        modes_truncated=len(modes) > MAX_MODES,
    )
    return off if picture is None else _switched_on(off, picture)


def _switched_on(display: Display, picture: Picture) -> Display:
    width, height = _shown((picture.width, picture.height), picture.transform, picture.scale)
    refresh = round(picture.refresh, 2)
    preferred = {(mode.width, mode.height, mode.refresh) for mode in display.modes if mode.preferred}
    size = picture.width, picture.height
    mode = DisplayMode(
        width=size[0], height=size[1], refresh=refresh, preferred=(*size, refresh) in preferred
    )
    return structs.replace(
        display,
        enabled=True,
        x=picture.place[0],
        y=picture.place[1],
        width=width or UNSET,
        height=height or UNSET,
        mode=mode if picture.width else UNSET,
        scale=picture.scale,
        rotation=QUARTERS[picture.transform % 4],
        mirrored=picture.transform >= _MIRRORED,
    )


def _mode(mode: HeadMode) -> DisplayMode:
    refresh = round(mode.refresh, 2)
    return DisplayMode(width=mode.width, height=mode.height, refresh=refresh, preferred=mode.preferred)
