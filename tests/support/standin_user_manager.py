"""A stand-in for the user's own systemd on the session bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.values import to_json

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"


@dataclass
class Scope:
    """A transient unit as it was asked for."""

    unit: str
    mode: str
    properties: dict[str, Any]


class StandinUserManager:
    """The service manager.

    Attributes:
        environment: what desktops put into it.
        scopes: what was asked for.
        refuses: answer every call with an error.
    """

    def __init__(self) -> None:
        self.environment: list[str] = []
        self.scopes: list[Scope] = []
        self.refuses = False

    def interface(self) -> Interface:
        return Interface(
            MANAGER,
            methods={"StartTransientUnit": ("ssa(sv)a(sa(sv))", "o", self._start)},
            properties={"Environment": Property("as", self._environment)},
        )

    def _environment(self) -> list[str]:
        self._check()
        return self.environment

    def _start(self, call: IncomingCall) -> Results:
        self._check()
        unit, mode, properties, _auxiliary = call.body
        self.scopes.append(Scope(unit, mode, {name: to_json(value) for name, value in properties}))
        return (f"{PATH}/job/1",)

    def _check(self) -> None:
        if self.refuses:
            raise MethodError("org.freedesktop.DBus.Error.AccessDenied", "not today")


@asynccontextmanager
async def standin_user_manager(address: str) -> AsyncIterator[StandinUserManager]:
    """One on a bus."""
    async with connect_bus(address) as bus:
        manager = StandinUserManager()
        bus.export(PATH, manager.interface())
        await bus.request_name(NAME)
        yield manager
