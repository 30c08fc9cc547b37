"""What a Wayland compositor says of a seat's clipboards: data control's device, and the offers that come with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from guestmux_protocol.clipboard_commands import MAX_FORMAT, MAX_FORMATS, Selection
from guestmux_session.desktop.clipboard_formats import Offered
from guestmux_session.desktop.clipboard_source import SELECTIONS
from guestmux_session.desktop.errors import DisplayUnavailable
from guestmux_session.desktop.wayland_connection import Proxy, WaylandConnection
from guestmux_session.desktop.wayland_protocols import SEAT
from guestmux_session.desktop.wayland_wire import Interface

MAX_NAMES = 2 * MAX_FORMATS
"""Formats that are kept of one offer: beside those that are told there are some that are none."""

MAX_OFFERS = 8
"""Offers at a time: one for each clipboard, and those of which the compositor has not said yet what they are for."""

_VERSION = 2
"""wlr's, from which on there is the primary selection; ext's first has it."""

_RELEASABLE_SEAT = 5

_SET: dict[Selection, str] = {"clipboard": "set_selection", "primary": "set_primary_selection"}


@dataclass(eq=False)
class Offer:
    """A content of some program's.

    Attributes:
        proxy: the compositor's object.
        names: its formats, as they came.
        truncated: there are more.
    """

    proxy: Proxy
    names: list[str] = field(default_factory=list)
    truncated: bool = False

    @property
    def offered(self) -> Offered:
        """What programs can have of it."""
        return Offered.of(self.names, truncated=self.truncated)

    def add(self, untrusted_name: str | None) -> None:
        """One format more; of one that is too long a character more, so that it is seen."""
        if len(self.names) < MAX_NAMES:
            self.names.append((untrusted_name or "")[: MAX_FORMAT + 1])
        else:
            self.truncated = True


class WaylandDevice:
    """A seat's clipboards, from `open` to `close`.

    Args:
        connection: to the compositor.
        manager: the protocol's manager.

    Attributes:
        current: what is in each.
        on_change: told of each change.
    """

    def __init__(self, connection: WaylandConnection, manager: Interface) -> None:
        self._connection = connection
        self._interface = manager
        self._seat: Proxy | None = None
        self._manager: Proxy | None = None
        self._device: Proxy | None = None
        self._offers: dict[int, Offer] = {}
        self.current: dict[Selection, Offer | None] = dict.fromkeys(SELECTIONS)
        self.on_change: Callable[[Selection], None] | None = None

    def __repr__(self) -> str:
        return f"<WaylandDevice {self._interface.name} offers={len(self._offers)}>"

    async def __aenter__(self) -> WaylandDevice:
        """Open it."""
        try:
            await self.open()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    async def open(self) -> None:
        """Learn what there is. Raises DisplayError."""
        self._seat = self._connection.bind(SEAT, _RELEASABLE_SEAT)
        self._manager = self._connection.bind(self._interface, _VERSION)
        if self._seat is None or self._manager is None:
            raise DisplayUnavailable("the compositor has no seat whose clipboard it would give")
        self._device = self._connection.create(self._manager, "get_data_device", self._seat)
        self._device.on(
            data_offer=self._on_offer,
            selection=lambda number: self._on_selection("clipboard", number),
            primary_selection=lambda number: self._on_selection("primary", number),
        )
        await self._connection.sync()

    def close(self) -> None:
        """Forget it; the connection goes on."""
        ended = (*(offer.proxy for offer in self._offers.values()), self._device, self._manager)
        seat, self._seat, self._device, self._manager = self._seat, None, None, None
        self._offers.clear()
        if self._connection.lost_reason is not None:
            return
        for proxy in ended:
            if proxy is not None:
                proxy.ask("destroy")
        if seat is not None and seat.version >= _RELEASABLE_SEAT:
            seat.ask("release")

    def source(self) -> Proxy:
        """A new source of a content."""
        assert self._manager is not None
        return self._connection.create(self._manager, "create_data_source")

    def put(self, selection: Selection, source: Proxy | None) -> None:
        """Put a source into a clipboard; None: nothing.

        Raises:
            DisplayUnavailable: the compositor has no such clipboard.
        """
        assert self._device is not None
        if (
            selection == "primary"
            and self._interface.name.startswith("zwlr_")
            and self._device.version < _VERSION
        ):
            raise DisplayUnavailable("the compositor has no primary selection")
        self._device.ask(_SET[selection], source or 0)

    def _on_offer(self, proxy: Proxy) -> None:
        while len(self._offers) >= MAX_OFFERS:
            self._offers.pop(next(iter(self._offers))).proxy.ask("destroy")
        offer = self._offers[proxy.id] = Offer(proxy)
        proxy.on(offer=offer.add)

    def _on_selection(self, selection: Selection, number: int) -> None:
        self.current[selection] = self._offers.get(number)
        for old in [one for one in self._offers.values() if one not in self.current.values()]:
            del self._offers[old.proxy.id]
            old.proxy.ask("destroy")
        if self.on_change is not None:
            self.on_change(selection)
