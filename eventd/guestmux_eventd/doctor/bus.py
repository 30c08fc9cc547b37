"""What the bus says: who is eventd, what it tells, and whether logind is there."""

from __future__ import annotations

from typing import Any

from guestmux_eventd.login_manager import LOGIN_NAME, LOGIN_PATH
from guestmux_eventd.login_manager import MANAGER_INTERFACE as LOGIN_INTERFACE
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_protocol.version import VERSION
from guestmux_transport.bus import Bus
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import (
    DBUS_NAME,
    DBUS_PATH,
    MANAGER_INTERFACE,
    MANAGER_NAME,
    MANAGER_PATH,
    PROPERTIES_INTERFACE,
)

CALL_TIMEOUT = 5.0
"""Seconds: everybody asked here answers from memory."""

DELAYED = frozenset({"shutdown", "sleep"})
"""What eventd holds up until the host knows of it."""

MAX_SHOWN = 8
"""Patterns or sessions shown in a line; there may be hundreds."""

RESTART = "systemctl restart guestmux-eventd"
OTHER_BUS = "is eventd running, and on this bus? systemctl start guestmux-eventd"


async def owner_of(bus: Bus, name: str) -> str | None:
    """The unique name of who owns a name; None for nobody. Nothing is started by asking.

    Raises:
        BusError: the bus does not say.
    """
    try:
        reply = await bus.call(DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetNameOwner", "s", (name,))
    except CallError as error:
        if error.name == "org.freedesktop.DBus.Error.NameHasNoOwner":
            return None
        raise
    return str(reply.body[0])


async def check_manager(bus: Bus, owner: str | None) -> list[Finding]:
    """Eventd as agents see it."""
    if owner is None:
        return [problem("eventd on the bus", f"nobody owns {MANAGER_NAME}", OTHER_BUS)]
    try:
        told = await _properties(bus, owner)
    except BusError as error:
        return [problem("eventd on the bus", f"it does not answer: {error}", RESTART)]
    return [_check_version(told, owner), _check_host(told)]


def _check_version(told: dict[str, Any], owner: str) -> Finding:
    running = str(told.get("Version", "of unknown version"))
    what = f"{running} owns {MANAGER_NAME} as {owner}"
    if running != VERSION:
        return problem("eventd on the bus", f"{what}, but {VERSION} is installed", RESTART)
    return ok("eventd on the bus", what)


def _check_host(told: dict[str, Any]) -> Finding:
    if not told.get("HostConnected"):
        return note("host", "no host is connected", "on the host: guestmux doctor -c unix:PATH")
    wanted = [str(pattern) for pattern in told.get("WantedEvents", [])]
    return ok("host", f"connected; {_some(wanted, 'subscribed to', 'subscribed to nothing')}")


def _some(names: list[str], prefix: str, nothing: str) -> str:
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return f"{prefix} {' '.join(names[:MAX_SHOWN])}{more}" if names else nothing


async def _properties(bus: Bus, owner: str) -> dict[str, Any]:
    # To the unique name: a call to the well-known one would start eventd.
    reply = await bus.call(
        owner,
        MANAGER_PATH,
        PROPERTIES_INTERFACE,
        "GetAll",
        "s",
        (MANAGER_INTERFACE,),
        timeout=CALL_TIMEOUT,
    )
    return {name: variant.value for name, variant in reply.body[0].items()}


def check_library(bus: Bus) -> Finding:
    """Which D-Bus library is in use."""
    if bus.library == "dbus-fast":
        return ok("D-Bus library", bus.library)
    return note("D-Bus library", f"{bus.library}: it works, slowly", "install dbus-fast")


async def check_inhibitors(bus: Bus, owner: str) -> Finding:
    """Whether eventd holds up shutdown and sleep until the host knows.

    Raises:
        BusError: logind does not answer.
    """
    pid = await _process_of(bus, owner)
    reply = await bus.call(LOGIN_NAME, LOGIN_PATH, LOGIN_INTERFACE, "ListInhibitors", timeout=CALL_TIMEOUT)
    held = {
        what
        for whats, _who, _why, mode, _uid, holder in reply.body[0]
        for what in whats.split(":")
        if holder == pid and mode == "delay"
    }
    if lacking := DELAYED - held:
        what = f"eventd does not hold up {' and '.join(sorted(lacking))}: the host may learn of it too late"
        return problem(
            "delay inhibitors", what, "is the polkit rule org.guestmux.rules installed? then " + RESTART
        )
    return ok("delay inhibitors", "eventd holds up shutdown and sleep until the host knows")


async def _process_of(bus: Bus, owner: str) -> int:
    reply = await bus.call(DBUS_NAME, DBUS_PATH, DBUS_NAME, "GetConnectionUnixProcessID", "s", (owner,))
    return int(reply.body[0])
