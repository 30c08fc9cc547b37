"""The stock session agent's commands about displays: what shows the session's windows, one for each screen."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from guestmux_protocol.registry import Arguments, Command, Data, command, doc

DISPLAY: dict[str, Command] = {}
"""These commands, by name."""

MAX_DISPLAYS = 32
"""Displays that are told: twice what a virtual graphics card has connectors for."""

MAX_MODES = 128
"""Modes that are told of one display; a large monitor has some fifty."""

MAX_SIDE = 16_384
"""Pixels of a side: what graphics cards can take, and little enough for X11's 16 bits."""

MAX_PLACE = 32_767
"""Pixels from the corner of all displays together, either way: X11's 16 bits."""

MAX_REFRESH = 1000.0
"""Hertz."""

MAX_NAME = 64
"""Characters of a display's name, which is that of its connector: `Virtual-1`, `HDMI-A-1`."""

Rotation: TypeAlias = Literal["normal", "left", "inverted", "right"]
Turned: TypeAlias = Annotated[
    Rotation, doc("How the picture is turned: `left` by a quarter against the clock, `inverted` upside down.")
]
Side: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Place: TypeAlias = Annotated[int, Meta(ge=-MAX_PLACE, le=MAX_PLACE)]
MIRRORED = doc("Mirrored from left to right, before it is turned.")


class DisplayMode(Data, frozen=True, kw_only=True, omit_defaults=False):
    """A size that a display can show."""

    width: Annotated[int, doc("Pixels of the display, not turned.")]
    height: int
    refresh: Annotated[float, doc("Pictures a second; 0: unknown.")]
    preferred: bool = False


class DisplayState(Data, frozen=True, kw_only=True, omit_defaults=False):
    """How a display is set."""

    name: Annotated[str, doc("Its connector, as the display server calls it: `Virtual-1`.")]
    connected: bool
    enabled: Annotated[
        bool, doc("It shows a part of the desktop. The next six members are told of those that do.")
    ]
    x: Annotated[int | UnsetType, doc("Where it is on the desktop, in the desktop's pixels.")] = UNSET
    y: int | UnsetType = UNSET
    width: Annotated[
        int | UnsetType, doc("How much of the desktop it shows: of its mode, turned and scaled.")
    ] = UNSET
    height: int | UnsetType = UNSET
    mode: DisplayMode | UnsetType = UNSET
    scale: Annotated[float | UnsetType, doc("Pixels of the display for one of the desktop.")] = UNSET
    rotation: Turned = "normal"
    mirrored: Annotated[bool, MIRRORED] = False
    primary: Annotated[bool | UnsetType, doc("The desktop's first. wlroots compositors have none.")] = UNSET
    width_mm: Annotated[int | UnsetType, doc("Millimetres; of virtual displays there are none.")] = UNSET
    height_mm: int | UnsetType = UNSET
    make: Annotated[str | UnsetType, doc("The manufacturer; three letters where only EDID says.")] = UNSET
    model: str | UnsetType = UNSET


class Display(DisplayState, frozen=True, kw_only=True, omit_defaults=False):
    """A display, with what it can."""

    modes: Annotated[list[DisplayMode], doc("Largest first; virtual displays take others as well.")]
    modes_truncated: Annotated[bool, doc("There are more than are told.")] = False


class Displays(Data, frozen=True, kw_only=True, omit_defaults=False):
    """The session's displays."""

    displays: list[Display]
    truncated: Annotated[bool, doc("There are more than are told.")]


class DisplaysSet(Data, frozen=True, kw_only=True, omit_defaults=False):
    """What a change came to."""

    displays: Annotated[list[DisplayState], doc("All displays, as they are afterwards.")]


class DisplaySetting(Arguments, frozen=True, kw_only=True):
    """How a display is to be set. What is not given stays as it is."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME), doc("As in session-list-displays.")]
    enabled: Annotated[
        bool | UnsetType,
        doc(
            "Any other member switches it on as well; in its preferred mode, right of the others, where not given."
        ),
    ] = UNSET
    width: Annotated[
        Side | UnsetType,
        doc("With `height` the mode. One that the display does not list is made for it, if it takes that."),
    ] = UNSET
    height: Side | UnsetType = UNSET
    refresh: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_REFRESH)] | UnsetType,
        doc(
            "Hertz; of the modes that have the size the nearest, within half a hertz. The best where not given."
        ),
    ] = UNSET
    x: Annotated[Place | UnsetType, doc("With `y` the place on the desktop.")] = UNSET
    y: Place | UnsetType = UNSET
    scale: Annotated[
        Annotated[float, Meta(ge=0.1, le=10)] | UnsetType, doc("Wayland alone; the compositor may round it.")
    ] = UNSET
    rotation: Annotated[Rotation | UnsetType, doc("As in session-list-displays.")] = UNSET
    mirrored: bool | UnsetType = UNSET
    primary: Annotated[bool | UnsetType, doc("Make it the desktop's first; X11 and GNOME.")] = UNSET


@command(DISPLAY, "session-list-displays", returns=Displays)
class SessionListDisplays(Arguments, frozen=True):
    """Tell the session's displays, and the modes that they have."""


@command(DISPLAY, "session-set-displays", returns=DisplaysSet)
class SessionSetDisplays(Arguments, frozen=True):
    """Set displays: size, place, scale, rotation, on and off; all as asked, or nothing.

    The display server is asked first whether it would take it. One display must stay switched on. Desktops may take
    note of the change, and rearrange displays by themselves afterwards.
    """

    displays: Annotated[list[DisplaySetting], Meta(min_length=1, max_length=MAX_DISPLAYS)]
    test: Annotated[
        bool, doc("Only find out whether it would be taken; the answer is what is there now.")
    ] = False
