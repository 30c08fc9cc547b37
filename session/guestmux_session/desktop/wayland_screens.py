"""What a Wayland compositor tells its windows of the outputs that are on (wl_output, xdg-output).

Output management should say all of that, but sway (seen in 1.7) says of an output without modes of its own, as headless
ones are, that it is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from guestmux_protocol.display_commands import MAX_NAME
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection
from guestmux_session.desktop.wayland_protocols import SCREEN, XDG_OUTPUTS
from guestmux_session.pulse import Pulse

SCALE_STEPS = 120
"""Steps of a scale between two whole numbers (fractional-scale-v1): what is told are whole pixels."""

_CURRENT = 1
_VERSION = 3
"""From which on it can be let go; names are xdg-output's."""


@dataclass(eq=False)
class WaylandScreen:
    """An output that is on.

    Attributes:
        mode: width, height, hertz.
        place: on the desktop.
        size: of the part of the desktop that it shows.
        transform: as in `Head`.
    """

    proxy: Proxy
    about: Proxy
    name: str = ""
    mode: tuple[int, int, float] = (0, 0, 0.0)
    place: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    transform: int = 0

    @property
    def scale(self) -> float:
        """Pixels of the output for one of the desktop."""
        width = self.mode[self.transform % 2]
        steps = round(width / self.size[0] * SCALE_STEPS) if self.size[0] > 0 else 0
        return steps / SCALE_STEPS if steps > 0 else 1.0


class WaylandScreens:
    """Them, kept up to date for as long as the connection is there.

    Args:
        connection: to the compositor, whose `on_screens` is this one's.
        changed: beaten with each complete change.
    """

    def __init__(self, connection: WaylandConnection, changed: Pulse) -> None:
        self._connection = connection
        self._changed = changed
        self._by_number: dict[int, WaylandScreen] = {}
        self._manager: Proxy | None = None

    def start(self) -> None:
        """Ask for them. Raises DisplayLost."""
        self._manager = self._connection.bind(XDG_OUTPUTS, _VERSION)
        self._connection.on_screens = self._follow
        self._follow()

    def get(self, name: str) -> WaylandScreen | None:
        """One that is on, by its name."""
        return next((one for one in self._by_number.values() if one.name == name and one.mode[0]), None)

    def _follow(self) -> None:
        if self._manager is None:
            return
        for number in self._by_number.keys() - self._connection.screens.keys():
            gone = self._by_number.pop(number)
            gone.about.ask("destroy")
            if gone.proxy.version >= _VERSION:
                gone.proxy.ask("release")
            self._changed.beat()
        for number in self._connection.screens.keys() - self._by_number.keys():
            self._by_number[number] = self._bound(number, self._manager)

    def _bound(self, number: int, manager: Proxy) -> WaylandScreen:
        proxy = self._connection.bind_global(self._connection.screens[number], SCREEN, _VERSION)
        about = self._connection.create(manager, "get_xdg_output", proxy)
        screen = WaylandScreen(proxy, about)

        def set_geometry(*told: object) -> None:
            transform = told[-1]
            screen.transform = transform if isinstance(transform, int) else 0

        def set_mode(flags: int, width: int, height: int, millihertz: int) -> None:
            if flags & _CURRENT:
                screen.mode = width, height, millihertz / 1000

        def set_name(untrusted_name: str | None) -> None:
            screen.name = one_line(untrusted_name or "", MAX_NAME)

        def set_pair(member: str, one: int, other: int) -> None:
            setattr(screen, member, (one, other))

        proxy.patient = about.patient = True
        proxy.on(geometry=set_geometry, mode=set_mode, done=self._changed.beat)
        about.on(
            name=set_name,
            logical_position=partial(set_pair, "place"),
            logical_size=partial(set_pair, "size"),
            done=self._changed.beat,
        )
        return screen
