"""A stand-in for the user's own systemd on the session bus."""

import fnmatch
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
        units: those that run, with their processes.
        killed: the units whose processes got a signal, with it.
        subscribers: how many want to hear of units.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.environment: list[str] = []
        self.scopes: list[Scope] = []
        self.refuses = False
        self.units: dict[str, list[int]] = {}
        self.killed: list[tuple[str, int]] = []
        self.subscribers = 0

    def interface(self) -> Interface:
        return Interface(
            MANAGER,
            methods={
                "StartTransientUnit": ("ssa(sv)a(sa(sv))", "o", self._start),
                "Subscribe": ("", "", self._subscribe),
                "Unsubscribe": ("", "", self._unsubscribe),
                "ListUnitsByPatterns": ("asas", "a(ssssssouso)", self._list),
                "GetUnitProcesses": ("s", "a(sus)", self._processes),
                "KillUnit": ("ssi", "", self._kill),
            },
            properties={"Environment": Property("as", self._environment)},
        )

    def start_unit(self, unit: str, *pids: int) -> None:
        """A unit starts with these processes."""
        self.units[unit] = [*pids]
        self._tell("UnitNew", unit)

    def end_unit(self, unit: str) -> None:
        """It ends."""
        del self.units[unit]
        self._tell("UnitRemoved", unit)

    def _tell(self, member: str, unit: str) -> None:
        if self.subscribers:
            self._bus.emit(PATH, MANAGER, member, "so", [unit, f"{PATH}/unit/x"])

    def _subscribe(self, _call: IncomingCall) -> Results:
        self.subscribers += 1
        return ()

    def _unsubscribe(self, _call: IncomingCall) -> Results:
        self.subscribers -= 1
        return ()

    def _list(self, call: IncomingCall) -> Results:
        self._check()
        _states, patterns = call.body
        named = [unit for unit in self.units if any(fnmatch.fnmatch(unit, one) for one in patterns)]
        rest = ("", "loaded", "active", "running", "", f"{PATH}/unit/x", 0, "", "/")
        return ([[unit, *rest] for unit in named],)

    def _processes(self, call: IncomingCall) -> Results:
        (unit,) = call.body
        if unit not in self.units:
            raise MethodError("org.freedesktop.systemd1.NoSuchUnit", "it is gone")
        return ([["/a", pid, "program"] for pid in self.units[unit]],)

    def _kill(self, call: IncomingCall) -> Results:
        self.killed.append((call.body[0], call.body[2]))
        return ()

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
