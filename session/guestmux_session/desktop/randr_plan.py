"""Works out what an X server is to be told, so that displays become as a host asks. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from guestmux_protocol.display_commands import DisplaySetting
from guestmux_session.desktop import randr_wire as randr
from guestmux_session.desktop.cvt import REFRESH, made_mode
from guestmux_session.desktop.output_settings import QUARTERS, check_settings, check_some_on, chosen
from guestmux_session.desktop.randr_wire import Crtc, Mode, Output
from guestmux_session.errors import CommandError

_ROTATIONS = (randr.ROTATE_0, randr.ROTATE_90, randr.ROTATE_180, randr.ROTATE_270)
_MOST_CLOCK = 2**32 - 1


@dataclass(frozen=True)
class Screen:
    """An X screen, as it is.

    Attributes:
        config_time: see `Resources`.
        outputs: by number.
        crtcs: by number.
        modes: all of them, by number.
        primary: the desktop's first output; 0: none.
        size: the screen's, which holds what all CRTCs show.
        least, most: the sizes that it can have.
    """

    config_time: int
    outputs: Mapping[int, Output]
    crtcs: Mapping[int, Crtc]
    modes: Mapping[int, Mode]
    primary: int
    size: tuple[int, int]
    least: tuple[int, int]
    most: tuple[int, int]


@dataclass(frozen=True)
class Shown:
    """What an output is to show.

    Attributes:
        mode: with the number 0 where it is to be made.
        rotation: as RandR has it.
        scaled: the size on the screen, where somebody has set a transform that makes it another than the mode's.
    """

    mode: Mode
    x: int
    y: int
    rotation: int
    scaled: tuple[int, int] | None = None

    @property
    def area(self) -> tuple[int, int, int, int]:
        """Place and size on the screen."""
        return (self.x, self.y, *(self.scaled or turned(self.mode, self.rotation)))


@dataclass(frozen=True)
class Plan:
    """What is to be told.

    Attributes:
        shown: by CRTC: what, and by which outputs. CRTCs that are not here are to be off.
        size: the screen's.
        primary: the desktop's first output; 0: none.
    """

    shown: Mapping[int, tuple[Shown, tuple[int, ...]]]
    size: tuple[int, int]
    primary: int


def turned(mode: Mode, rotation: int) -> tuple[int, int]:
    """A mode's size, when it is turned."""
    on_its_side = rotation & (randr.ROTATE_90 | randr.ROTATE_270)
    return (mode.height, mode.width) if on_its_side else (mode.width, mode.height)


def quarters_of(rotation: int) -> tuple[int, bool]:
    """RandR's rotation as quarter turns against the clock, and whether it is mirrored from left to right before."""
    turns = next((number for number, bit in enumerate(_ROTATIONS) if rotation & bit), 0)
    left_right, up_down = bool(rotation & randr.REFLECT_X), bool(rotation & randr.REFLECT_Y)
    # Upside down is mirrored from left to right, and turned by half.
    return (turns + 2 * up_down) % 4, left_right != up_down


def plan(screen: Screen, settings: Sequence[DisplaySetting]) -> Plan:
    """Work it out.

    Raises:
        CommandError: it cannot be done.
    """
    by_name = {output.name: output for output in screen.outputs.values()}
    check_settings(settings, by_name)
    shown = {output.id: _now(screen, output) for output in screen.outputs.values()}
    placed: set[int] = set()
    for setting in settings:
        output = by_name[setting.name]
        if shown[output.id] is None and setting.x is UNSET and _is_on(setting):
            placed.add(output.id)
        shown[output.id] = _wanted(screen, output, shown[output.id], setting)
    check_some_on(shown.values())
    for number in placed:
        shown[number] = _right_of_all(shown, number)
    moved = _from_the_corner({number: one for number, one in shown.items() if one is not None})
    size = _size(screen, moved)
    assigned = _assigned(screen, moved, {by_name[setting.name].id for setting in settings})
    return Plan(assigned, size, _primary(screen, settings, by_name))


def _now(screen: Screen, output: Output) -> Shown | None:
    crtc = screen.crtcs.get(output.crtc)
    mode = screen.modes.get(crtc.mode) if crtc is not None else None
    if crtc is None or mode is None:
        return None
    size = crtc.width, crtc.height
    scaled = size if size != turned(mode, crtc.rotation) else None
    return Shown(mode, crtc.x, crtc.y, crtc.rotation, scaled)


def _is_on(setting: DisplaySetting) -> bool:
    return setting.enabled is not False


def _wanted(screen: Screen, output: Output, now: Shown | None, setting: DisplaySetting) -> Shown | None:
    if not _is_on(setting):
        return None
    if setting.scale not in (UNSET, 1):
        raise CommandError(f"display '{output.name}': X11 has no scale")
    if setting.width is not UNSET and setting.height is not UNSET:
        mode = _mode(screen, output, (setting.width, setting.height), setting)
    else:
        mode = now.mode if now is not None else _preferred(screen, output)
    turns, mirrored = quarters_of(now.rotation if now is not None else randr.ROTATE_0)
    turns = turns if setting.rotation is UNSET else QUARTERS.index(setting.rotation)
    mirrored = mirrored if setting.mirrored is UNSET else setting.mirrored
    rotation = _ROTATIONS[turns] | (randr.REFLECT_X if mirrored else 0)
    x, y = (now.x, now.y) if now is not None else (0, 0)
    x, y = x if setting.x is UNSET else setting.x, y if setting.y is UNSET else setting.y
    same = now is not None and (now.mode, now.rotation) == (mode, rotation)
    return Shown(mode, x, y, rotation, now.scaled if now is not None and same else None)


def _mode(screen: Screen, output: Output, size: tuple[int, int], setting: DisplaySetting) -> Mode:
    known = [screen.modes[number] for number in output.modes if number in screen.modes]
    if (mode := chosen(known, size, setting.refresh)) is not None:
        return mode
    made = made_mode(*size, REFRESH if setting.refresh is UNSET else setting.refresh)
    if made.clock > _MOST_CLOCK:
        raise CommandError(f"display '{output.name}': that many pixels a second X11 has no number for")
    # Another display has it, or had it.
    return next((mode for mode in screen.modes.values() if mode.name == made.name), made)


def _preferred(screen: Screen, output: Output) -> Mode:
    for number in output.modes:
        if number in screen.modes:
            return screen.modes[number]
    raise CommandError(f"display '{output.name}' has no mode: give a width and a height")


def _right_of_all(shown: Mapping[int, Shown | None], number: int) -> Shown:
    one = shown[number]
    assert one is not None
    others = [other.area for key, other in shown.items() if other is not None and key != number]
    return replace(one, x=_extent(others)[0], y=min((area[1] for area in others), default=0))


def _from_the_corner(shown: Mapping[int, Shown]) -> dict[int, Shown]:
    """All together begin at 0, 0: X11 knows nothing left of that."""
    left, top = min(one.x for one in shown.values()), min(one.y for one in shown.values())
    return {number: replace(one, x=one.x - left, y=one.y - top) for number, one in shown.items()}


def _extent(areas: Sequence[tuple[int, int, int, int]]) -> tuple[int, int]:
    right = max((x + width for x, _, width, _ in areas), default=0)
    return right, max((y + height for _, y, _, height in areas), default=0)


def _size(screen: Screen, shown: Mapping[int, Shown]) -> tuple[int, int]:
    width, height = _extent([one.area for one in shown.values()])
    most_width, most_height = screen.most
    if width > most_width or height > most_height:
        raise CommandError(
            f"all displays together need {width}x{height}; the X server has {most_width}x{most_height} at the most"
        )
    return max(width, screen.least[0]), max(height, screen.least[1])


def _assigned(
    screen: Screen, shown: Mapping[int, Shown], changed: set[int]
) -> dict[int, tuple[Shown, tuple[int, ...]]]:
    """Which CRTC feeds whom. Those that stay keep theirs, outputs that show the same share one where they did."""
    assigned: dict[int, tuple[Shown, tuple[int, ...]]] = {}
    for number in sorted(shown, key=lambda number: number in changed):
        output, one = screen.outputs[number], shown[number]
        sharing = assigned.get(output.crtc)
        if sharing is not None and sharing[0] == one:
            assigned[output.crtc] = one, (*sharing[1], number)
            continue
        crtc = _free_crtc(screen, output, {*assigned, *_kept(screen, shown, number)}, one.rotation)
        assigned[crtc] = one, (number,)
    return assigned


def _kept(screen: Screen, shown: Mapping[int, Shown], number: int) -> Iterator[int]:
    """The CRTCs of the others; one that is shared is for who comes first."""
    own = screen.outputs[number].crtc
    return (screen.outputs[other].crtc for other in shown if screen.outputs[other].crtc != own)


def _free_crtc(screen: Screen, output: Output, taken: set[int], rotation: int) -> int:
    for number in (output.crtc, *output.crtcs):
        crtc = screen.crtcs.get(number)
        if crtc is None or number in taken:
            continue
        if rotation & ~crtc.rotations:
            raise CommandError(f"display '{output.name}' cannot be turned or mirrored so")
        return number
    raise CommandError(f"display '{output.name}': the graphics card has no picture left for it")


def _primary(screen: Screen, settings: Sequence[DisplaySetting], by_name: Mapping[str, Output]) -> int:
    primary = screen.primary
    for setting in settings:
        number = by_name[setting.name].id
        if setting.primary is True:
            primary = number
        elif number == primary and (setting.primary is False or not _is_on(setting)):
            primary = randr.NONE
    return primary
