"""D-Bus server addresses, as DBUS_SYSTEM_BUS_ADDRESS holds them, and a socket connected to one."""

import os
import socket
from urllib.parse import unquote

import anyio

from guestmux_transport.errors import BusUnavailable

SYSTEM_BUS_VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
SESSION_BUS_VARIABLE = "DBUS_SESSION_BUS_ADDRESS"

# Seconds between tries while the bus has more connections waiting than it accepts (EAGAIN on a unix socket).
BACKLOG_PAUSE = 0.02


def system_bus_address() -> str:
    """Give the address of the system bus."""
    return os.environ.get(SYSTEM_BUS_VARIABLE) or "unix:path=/run/dbus/system_bus_socket"


def session_bus_address() -> str:
    """Give the address of this user's session bus."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.environ.get(SESSION_BUS_VARIABLE) or f"unix:path={runtime}/bus"


def socket_names(address: str) -> list[str]:
    """Give the unix socket names of an address, in the order to try; an abstract one begins with a NUL.

    Raises:
        BusUnavailable: it is no D-Bus address, or has no unix socket in it.

    Source: D-Bus specification, "Server Addresses".
    """
    names = [name for entry in address.split(";") if entry for name in _names_of_entry(entry)]
    if not names:
        raise BusUnavailable(f"no unix:path= or unix:abstract= in the D-Bus address {address!r}")
    return names


def _names_of_entry(entry: str) -> list[str]:
    transport, colon, options = entry.partition(":")
    if not colon:
        raise BusUnavailable(f"not a D-Bus address: {entry!r}")
    if transport != "unix":
        return []
    pairs = [option.partition("=") for option in options.split(",")]
    values = {key: unquote(value, errors="surrogateescape") for key, _, value in pairs}
    if "path" in values:
        return [values["path"]]
    return ["\0" + values["abstract"]] if "abstract" in values else []


async def open_socket(address: str) -> socket.socket:
    """Connect to the first socket of the address that accepts; waits while the bus has too many waiting.

    Raises:
        BusUnavailable: none does.
    """
    reason = ""
    for name in socket_names(address):
        try:
            return await _open_one(name)
        except (OSError, ValueError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    raise BusUnavailable(f"no D-Bus at {address}: {reason}")


async def _open_one(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            try:
                sock.connect(name)
            except BlockingIOError:
                await anyio.sleep(BACKLOG_PAUSE)
            else:
                return sock
    except BaseException:
        sock.close()
        raise
