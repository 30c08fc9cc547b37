"""The end of the boot, and units that fail, as systemd tells them (org.freedesktop.systemd1(5))."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from anyio.abc import TaskGroup

from guestmux_eventd.session_table import Emission
from guestmux_protocol.events import GuestReady, UnitFailed
from guestmux_transport.bus import Bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import BusError
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

SYSTEMD_NAME = "org.freedesktop.systemd1"
SYSTEMD_PATH = "/org/freedesktop/systemd1"
MANAGER_INTERFACE = "org.freedesktop.systemd1.Manager"
UNIT_INTERFACE = "org.freedesktop.systemd1.Unit"
UNIT_PATHS = f"{SYSTEMD_PATH}/unit/"

CALL_TIMEOUT = 10.0
"""Seconds: systemd answers from memory; longer means that it hangs."""

_MICROSECONDS = 1e6
_ESCAPED = re.compile("_([0-9a-f]{2})")

logger = logging.getLogger(__name__)


class SystemdSource:
    """Follows systemd's manager.

    Args:
        bus: the system bus.
        publish: takes the events.
        unit_failures: whether to tell of units that fail.
    """

    def __init__(
        self, bus: Bus, publish: Callable[[list[Emission]], object], *, unit_failures: bool = False
    ) -> None:
        self._bus = bus
        self._publish = publish
        self._unit_failures = unit_failures
        self._failed: set[str] = set()

    def __repr__(self) -> str:
        return f"<SystemdSource {len(self._failed)} failed>"

    async def start(self, tasks: TaskGroup) -> None:
        """Follow it, in `tasks` where it has to be asked again. Where there is no systemd nothing is ever told.

        Raises:
            BusError: the bus is lost.
        """

        def owner_changed(signal: Signal) -> None:
            # `systemctl daemon-reexec` forgets who subscribed.
            if signal.body[0] == SYSTEMD_NAME and signal.body[2]:
                tasks.start_soon(self._subscribe)

        await self._bus.add_signal_handler(
            sender=SYSTEMD_NAME, interface=MANAGER_INTERFACE, member="StartupFinished", handler=self._finished
        )
        if self._unit_failures:
            await self._bus.add_signal_handler(
                sender=SYSTEMD_NAME,
                interface=PROPERTIES_INTERFACE,
                member="PropertiesChanged",
                handler=self._unit_changed,
            )
        await self._bus.add_signal_handler(
            sender=DBUS_NAME, interface=DBUS_INTERFACE, member="NameOwnerChanged", handler=owner_changed
        )
        await self._subscribe()

    async def _subscribe(self) -> None:
        try:
            await self._bus.call(
                SYSTEMD_NAME, SYSTEMD_PATH, MANAGER_INTERFACE, "Subscribe", timeout=CALL_TIMEOUT
            )
        except BusError as error:
            logger.info("no events from systemd: %s", error)

    def _finished(self, signal: Signal) -> None:
        if signal.signature != "tttttt":
            return
        firmware, loader, kernel, initrd, userspace, total = (
            microseconds / _MICROSECONDS for microseconds in signal.body
        )
        ready = GuestReady(
            firmware=firmware,
            loader=loader,
            kernel=kernel,
            initrd=initrd,
            userspace=userspace,
            total=total,
        )
        self._publish([("GUEST_READY", ready)])

    def _unit_changed(self, signal: Signal) -> None:
        if signal.signature != "sa{sv}as" or signal.body[0] != UNIT_INTERFACE:
            return
        unit, state = unit_name(signal.path), _text(signal.body[1].get("ActiveState"))
        if state == "failed" and unit not in self._failed:
            self._failed.add(unit)
            sub_state = _text(signal.body[1].get("SubState"))
            self._publish([("UNIT_FAILED", UnitFailed(unit=unit, sub_state=sub_state))])
        elif state and state != "failed":
            self._failed.discard(unit)


def unit_name(path: str) -> str:
    """A unit's name from its object path, which has `_2e` for a dot (bus_label_unescape in systemd's bus-label.c)."""
    label = path.removeprefix(UNIT_PATHS)
    if label == "_":
        return ""
    data = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), label)
    return data.encode("latin-1").decode(errors="replace")


def _text(variant: Variant | None) -> str:
    return str(variant.value) if variant is not None and variant.signature == "s" else ""
