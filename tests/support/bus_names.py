"""The object that the tests of the D-Bus adapter talk to, and a short way to call it."""

from collections.abc import Sequence
from typing import Any

from guestmux_transport.bus import Bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_exports import Handler, Interface

NAME = "org.example.Service"
PATH = "/org/example/Object"
INTERFACE = "org.example.Interface"


def offer(bus: Bus, member: str, in_signature: str, out_signature: str, handler: Handler) -> None:
    """Export one method."""
    bus.export(PATH, Interface(INTERFACE, {member: (in_signature, out_signature, handler)}))


async def ask(
    bus: Bus,
    service: Bus | str,
    member: str,
    signature: str = "",
    body: Sequence[Any] = (),
    *,
    timeout: float = 60.0,
    fds: Sequence[int] = (),
) -> Reply:
    """Call a method of the object."""
    destination = service if isinstance(service, str) else service.unique_name
    return await bus.call(destination, PATH, INTERFACE, member, signature, body, timeout=timeout, fds=fds)


async def ping(bus: Bus) -> None:
    """Make sure that the bus has taken all that was sent before, and that the connection lives."""
    await bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Peer", "Ping")
