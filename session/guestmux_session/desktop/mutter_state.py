"""What Mutter says of its displays, and what it is told (org.gnome.Mutter.DisplayConfig.xml in its tree). No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from guestmux_protocol.display_commands import MAX_NAME, MAX_REFRESH, DisplaySetting
from guestmux_session.desktop.output_settings import QUARTERS, check_settings, check_some_on, chosen
from guestmux_session.desktop.texts import one_line
from guestmux_session.errors import CommandError
from guestmux_transport.values import Variant

STATE = "ua((ssss)a(siiddada{sv})a{sv})a(iiduba(ssss)a{sv})a{sv}"
"""The signature of GetCurrentState's answer."""

CONFIGURATION = "uua(iiduba(ssa{sv}))a{sv}"
"""The signature of what ApplyMonitorsConfig takes."""

MAX_MONITORS = 64
"""Monitors that are looked at."""

MAX_TEXT = 128
"""Characters of a make or a model."""

MIN_SCALE, MAX_SCALE = 0.1, 100.0
"""Scales that are believed; Mutter's are from 1 to 4."""

SAME_SCALE = 0.05
"""Between the scale that is asked for and one that a mode has: 1.5 may be 1.4986, for whole pixels."""

MIRRORED = 4
"""In a transform, beside the quarters against the clock."""

_LOGICAL_LAYOUT = 1


@dataclass(frozen=True)
class MonitorMode:
    """A mode.

    Attributes:
        id: Mutter's name for it.
        scales: those that it can have.
    """

    id: str
    width: int
    height: int
    refresh: float
    scales: tuple[float, ...] = ()
    current: bool = False
    preferred: bool = False


@dataclass(frozen=True)
class Monitor:
    """A connector with something behind it."""

    name: str
    make: str
    model: str
    modes: tuple[MonitorMode, ...]
    size_mm: tuple[int, int]

    @property
    def mode(self) -> MonitorMode | None:
        """The mode that is on."""
        return next((mode for mode in self.modes if mode.current), None)


@dataclass(frozen=True)
class Shown:
    """What a monitor shows. Those at one place show the same.

    Attributes:
        mode: its mode.
        x, y: the place on the desktop.
        scale: pixels of the monitor for one of the desktop.
        transform: quarters against the clock, and MIRRORED.
        primary: the desktop's first.
    """

    mode: MonitorMode
    x: int
    y: int
    scale: float
    transform: int
    primary: bool

    @property
    def place(self) -> tuple[int, int, float, int]:
        """What monitors have in common that show the same."""
        return self.x, self.y, self.scale, self.transform


@dataclass(frozen=True)
class MutterState:
    """All of it.

    Attributes:
        serial: names this state in requests.
        monitors: by name.
        shown: by name, of those that are on.
        scaled: places and sizes are in the desktop's pixels; else in the monitors'.
    """

    serial: int
    monitors: Mapping[str, Monitor]
    shown: Mapping[str, Shown]
    scaled: bool

    def size(self, shown: Shown) -> tuple[int, int]:
        """How much of the desktop that is."""
        width, height = shown.mode.width, shown.mode.height
        if shown.transform % 2:
            width, height = height, width
        scale = shown.scale if self.scaled else 1.0
        return round(width / scale), round(height / scale)


def read_state(body: Sequence[Any]) -> MutterState:
    """GetCurrentState's answer, which has the signature STATE."""
    serial, told_monitors, told_places, properties = body
    monitors = {monitor.name: monitor for monitor in map(_monitor, told_monitors[:MAX_MONITORS])}
    shown: dict[str, Shown] = {}
    for x, y, scale, transform, primary, names, _ in told_places[:MAX_MONITORS]:
        for name in (one_line(told[0], MAX_NAME) for told in names[:MAX_MONITORS]):
            mode = monitors[name].mode if name in monitors else None
            if mode is not None:
                believed = scale if MIN_SCALE <= scale <= MAX_SCALE else 1.0
                shown[name] = Shown(mode, x, y, believed, transform % 8, primary)
    return MutterState(serial, monitors, shown, _value(properties, "layout-mode", 0) == _LOGICAL_LAYOUT)


def _monitor(told: Sequence[Any]) -> Monitor:
    (name, make, model, _serial_number), modes, properties = told
    size_mm = _value(properties, "width-mm", 0), _value(properties, "height-mm", 0)
    return Monitor(
        name=one_line(name, MAX_NAME),
        make=one_line(make, MAX_TEXT),
        model=one_line(model, MAX_TEXT),
        modes=tuple(map(_mode, modes)),
        size_mm=size_mm,
    )


def _mode(told: Sequence[Any]) -> MonitorMode:
    number, width, height, refresh, _preferred_scale, scales, properties = told
    current, preferred = (_value(properties, name, False) for name in ("is-current", "is-preferred"))
    hertz = refresh if 0 <= refresh <= MAX_REFRESH else 0.0
    return MonitorMode(number, width, height, hertz, tuple(scales), current, preferred)


def _value(properties: Mapping[str, Variant], name: str, default: Any) -> Any:
    variant = properties.get(name)
    return variant.value if variant is not None and isinstance(variant.value, type(default)) else default


def wanted_of(state: MutterState, settings: Sequence[DisplaySetting]) -> dict[str, Shown]:
    """What each monitor is to show; those that are not here are to be off.

    Raises:
        CommandError: it cannot be done.
    """
    check_settings(settings, state.monitors)
    wanted = dict(state.shown)
    for setting in settings:
        if setting.enabled is False:
            wanted.pop(setting.name, None)
            continue
        wanted[setting.name] = _changed(state, setting, wanted)
        if setting.primary is True:
            wanted = {name: replace(one, primary=name == setting.name) for name, one in wanted.items()}
    check_some_on(wanted.values())
    return _from_the_corner(_with_primary(wanted))


def configuration(wanted: Mapping[str, Shown]) -> list[Any]:
    """ApplyMonitorsConfig's logical monitors."""
    places: dict[tuple[int, int, float, int], list[tuple[str, Shown]]] = {}
    for name, one in wanted.items():
        places.setdefault(one.place, []).append((name, one))
    return [
        (*place, any(one.primary for _, one in group), [(name, one.mode.id, {}) for name, one in group])
        for place, group in places.items()
    ]


def _changed(state: MutterState, setting: DisplaySetting, wanted: Mapping[str, Shown]) -> Shown:
    monitor, now = state.monitors[setting.name], wanted.get(setting.name)
    if now is None:
        x, y = _right_of_all(state, wanted)
        now = Shown(_best(monitor), x, y, 1.0, 0, primary=False)
    mode = now.mode
    if setting.width is not UNSET and setting.height is not UNSET:
        mode = _listed(monitor, (setting.width, setting.height), setting)
    turns = now.transform % 4 if setting.rotation is UNSET else QUARTERS.index(setting.rotation)
    mirrored = now.transform >= MIRRORED if setting.mirrored is UNSET else setting.mirrored
    return Shown(
        mode=mode,
        x=now.x if setting.x is UNSET else setting.x,
        y=now.y if setting.y is UNSET else setting.y,
        scale=_scale(mode, now.scale if setting.scale is UNSET else setting.scale),
        transform=turns + MIRRORED * mirrored,
        primary=now.primary and setting.primary is not False,
    )


def _listed(monitor: Monitor, size: tuple[int, int], setting: DisplaySetting) -> MonitorMode:
    mode = chosen(monitor.modes, size, setting.refresh)
    if mode is None:
        raise CommandError(f"display '{monitor.name}' has no such mode, and GNOME makes none")
    return mode


def _best(monitor: Monitor) -> MonitorMode:
    if not monitor.modes:
        raise CommandError(f"display '{monitor.name}' has no mode")
    return max(monitor.modes, key=lambda mode: (mode.preferred, mode.width * mode.height, mode.refresh))


def _scale(mode: MonitorMode, wanted: float) -> float:
    nearest = min(mode.scales, key=lambda scale: abs(scale - wanted), default=wanted)
    return nearest if abs(nearest - wanted) <= SAME_SCALE else wanted


def _right_of_all(state: MutterState, wanted: Mapping[str, Shown]) -> tuple[int, int]:
    right = max((one.x + state.size(one)[0] for one in wanted.values()), default=0)
    return right, min((one.y for one in wanted.values()), default=0)


def _with_primary(wanted: Mapping[str, Shown]) -> dict[str, Shown]:
    """Mutter wants exactly one."""
    first = next((name for name, one in wanted.items() if one.primary), next(iter(wanted)))
    place = wanted[first].place
    return {name: replace(one, primary=one.place == place) for name, one in wanted.items()}


def _from_the_corner(wanted: Mapping[str, Shown]) -> dict[str, Shown]:
    """All together begin at 0, 0: Mutter wants that."""
    left, top = min(one.x for one in wanted.values()), min(one.y for one in wanted.values())
    return {name: replace(one, x=one.x - left, y=one.y - top) for name, one in wanted.items()}
