"""A stand-in for the user's own systemd on the session bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Property, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.values import to_json

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"


@dataclass
class Scope:
    """A transient unit as it was asked for.

    Attributes:
        state: of its process at that moment, as proc(5) has it.
    """

    unit: str
    mode: str
    properties: dict[str, Any]
    state: str


class StandinUserManager:
    """The service manager.

    Attributes:
        environment: what desktops put into it.
        scopes: what was asked for.
        refuses: answer every call with an error.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
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
        plain = {name: to_json(value) for name, value in properties}
        state = Path(f"/proc/{plain['PIDs'][0]}/stat").read_text().rpartition(")")[2].split()[0]
        self.scopes.append(Scope(unit, mode, plain, state))
        self._bus.emit(PATH, MANAGER, "JobRemoved", "uoss", [1, f"{PATH}/job/1", unit, "done"])
        return (f"{PATH}/job/1",)

    def _check(self) -> None:
        if self.refuses:
            raise MethodError("org.freedesktop.DBus.Error.AccessDenied", "not today")


@asynccontextmanager
async def standin_user_manager(address: str) -> AsyncIterator[StandinUserManager]:
    """One on a bus."""
    async with connect_bus(address) as bus:
        manager = StandinUserManager(bus)
        bus.export(PATH, manager.interface())
        await bus.request_name(NAME)
        yield manager
