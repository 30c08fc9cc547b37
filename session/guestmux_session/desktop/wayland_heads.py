"""What a Wayland compositor says of its outputs, and configurations of them (wlr-output-management-unstable-v1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import anyio

from guestmux_protocol.display_commands import MAX_DISPLAYS, MAX_MODES, MAX_NAME
from guestmux_session.desktop.display_socket import CONNECT_TIMEOUT
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.texts import one_line
from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection
from guestmux_session.desktop.wayland_protocols import WLR_OUTPUTS
from guestmux_session.desktop.wayland_screens import WaylandScreens
from guestmux_session.pulse import Pulse

MAX_TEXT = 128
"""Characters of a make or a model."""

MAX_HEADS = 2 * MAX_DISPLAYS
"""Heads that are followed; all of them must be in a configuration."""

MAX_HEAD_MODES = 2 * MAX_MODES
"""Modes of one that are followed."""

_VERSION = 3
"""From which on heads and modes can be let go."""

Outcome = Literal["succeeded", "failed", "cancelled"]


@dataclass(eq=False)
class HeadMode:
    """A mode. `refresh` is in hertz, 0 where there is no fixed one."""

    proxy: Proxy
    width: int = 0
    height: int = 0
    refresh: float = 0.0
    preferred: bool = False


@dataclass(frozen=True)
class Picture:
    """What an output shows.

    Attributes:
        width, height: of its mode; 0: unknown.
        refresh: in hertz; 0: unknown.
        place: on the desktop.
        transform: as wl_output has it: quarters against the clock, 4 more where it is mirrored before.
        scale: pixels of the output for one of the desktop.
    """

    width: int
    height: int
    refresh: float
    place: tuple[int, int]
    transform: int
    scale: float


@dataclass(eq=False)
class Head:
    """An output, as it was last told.

    Attributes:
        proxy: the compositor's object.
        modes: by the compositor's number.
        current: the number of the mode that is on; 0: none is told.
        place, transform, scale: as in `Picture`.
    """

    proxy: Proxy
    name: str = ""
    make: str = ""
    model: str = ""
    size_mm: tuple[int, int] = (0, 0)
    enabled: bool = False
    modes: dict[int, HeadMode] = field(default_factory=dict)
    current: int = 0
    place: tuple[int, int] = (0, 0)
    transform: int = 0
    scale: float = 1.0

    @property
    def picture(self) -> Picture | None:
        """What it shows, as far as that was told; None: it is off."""
        if not self.enabled:
            return None
        mode = self.modes.get(self.current) or HeadMode(self.proxy)
        scale = self.scale if self.scale > 0 else 1.0
        return Picture(mode.width, mode.height, mode.refresh, self.place, self.transform, scale)


class WaylandHeads:
    """The outputs of a compositor, kept up to date until `close`.

    Args:
        connection: this one's own; closed with it.

    Attributes:
        heads: by the compositor's number.
        truncated: there are more than are followed.
        changed: beaten with each complete change.
    """

    def __init__(self, connection: WaylandConnection) -> None:
        self._connection = connection
        self._manager: Proxy | None = None
        self._serial = 0
        self.heads: dict[int, Head] = {}
        self.truncated = False
        self.changed = Pulse()
        self._screens = WaylandScreens(connection, self.changed)

    def __repr__(self) -> str:
        return f"<WaylandHeads {', '.join(head.name for head in self.heads.values())}>"

    @property
    def lost_reason(self) -> str | None:
        """Why the connection ended; None while it is there."""
        return self._connection.lost_reason

    async def start(self) -> None:
        """Learn what there is.

        Raises:
            DisplayUnavailable: the compositor does not tell.
            DisplayLost: the connection ended.
        """
        self._manager = self._connection.bind(WLR_OUTPUTS, _VERSION)
        if self._manager is None:
            # KDE, for one.
            raise DisplayUnavailable(
                "the compositor tells nobody of its outputs: it has no output management"
            )
        self._manager.patient = True
        self._manager.on(head=self._on_head, done=self._on_done)
        self._screens.start()
        await self.sync()

    async def sync(self) -> None:
        """Have everything up to date. Raises DisplayLost."""
        await self._connection.sync()

    async def wait_lost(self) -> None:
        """Wait until the connection has ended."""
        await self._connection.wait_lost()

    def close(self) -> None:
        """Hear of nothing more."""
        self._connection.close()

    def picture(self, head: Head) -> Picture | None:
        """What an output shows; None: it is off."""
        told = head.picture
        screen = self._screens.get(head.name)
        if screen is None or (told is not None and told.width):
            return told
        return Picture(*screen.mode, screen.place, screen.transform, screen.scale)

    def configuration(self) -> Proxy:
        """A new configuration, of what is known now. Raises DisplayLost."""
        assert self._manager is not None
        return self._connection.create(self._manager, "create_configuration", self._serial)

    async def outcome(self, configuration: Proxy, request: Literal["test", "apply"]) -> Outcome:
        """Have the compositor test a configuration or apply it, and forget it.

        Raises:
            DisplayLost: the connection ended, or there is no answer.
        """
        outcomes: list[Outcome] = []
        answered = Pulse()

        def on(outcome: Outcome) -> None:
            outcomes.append(outcome)
            answered.beat()

        configuration.on(
            succeeded=partial(on, "succeeded"),
            failed=partial(on, "failed"),
            cancelled=partial(on, "cancelled"),
        )
        configuration.ask(request)
        await self.sync()
        with anyio.move_on_after(CONNECT_TIMEOUT):
            await answered.wait_beyond(0)
        if not outcomes:
            self.close()
            raise DisplayLost("the compositor does not say whether it set its outputs")
        configuration.ask("destroy")
        return outcomes[0]

    def _on_done(self, serial: int) -> None:
        self._serial = serial
        self.changed.beat()

    def _on_head(self, proxy: Proxy) -> None:
        proxy.patient = True
        if len(self.heads) >= MAX_HEADS:
            self.truncated = True
            proxy.forget()
            return
        head = self.heads[proxy.id] = Head(proxy)

        def set_text(member: str, limit: int, untrusted_text: str | None) -> None:
            setattr(head, member, one_line(untrusted_text or "", limit))

        def set_pair(member: str, one: int, other: int) -> None:
            setattr(head, member, (one, other))

        def set_value(member: str, value: float) -> None:
            setattr(head, member, value)

        proxy.on(
            name=partial(set_text, "name", MAX_NAME),
            make=partial(set_text, "make", MAX_TEXT),
            model=partial(set_text, "model", MAX_TEXT),
            physical_size=partial(set_pair, "size_mm"),
            position=partial(set_pair, "place"),
            enabled=lambda enabled: set_value("enabled", bool(enabled)),
            current_mode=partial(set_value, "current"),
            transform=partial(set_value, "transform"),
            scale=partial(set_value, "scale"),
            mode=lambda mode: self._on_mode(head, mode),
            finished=lambda: self._on_head_finished(head),
        )

    def _on_mode(self, head: Head, proxy: Proxy) -> None:
        proxy.patient = True
        if len(head.modes) >= MAX_HEAD_MODES:
            proxy.forget()
            return
        mode = head.modes[proxy.id] = HeadMode(proxy)

        def set_size(width: int, height: int) -> None:
            mode.width, mode.height = width, height

        def set_refresh(millihertz: int) -> None:
            mode.refresh = millihertz / 1000

        def set_preferred() -> None:
            mode.preferred = True

        def finished() -> None:
            head.modes.pop(proxy.id, None)
            _let_go(proxy)

        proxy.on(size=set_size, refresh=set_refresh, preferred=set_preferred, finished=finished)

    def _on_head_finished(self, head: Head) -> None:
        self.heads.pop(head.proxy.id, None)
        for mode in head.modes.values():
            _let_go(mode.proxy)
        _let_go(head.proxy)


def _let_go(proxy: Proxy) -> None:
    """Of what is gone: its number is the compositor's to give again."""
    if proxy.version >= _VERSION:
        proxy.ask("release")
    else:
        proxy.forget()
