"""What systemd tells, and what claims to be told by it; the real one is in tests/guest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from guestmux_eventd.session_table import Emission
from guestmux_eventd.systemd_source import (
    MANAGER_INTERFACE,
    SYSTEMD_NAME,
    SYSTEMD_PATH,
    UNIT_INTERFACE,
    UNIT_PATHS,
    SystemdSource,
    unit_name,
)
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.names import PROPERTIES_INTERFACE
from guestmux_transport.values import Variant
from tests.support.dbus_daemon import PrivateBus

pytestmark = pytest.mark.anyio


class StandinSystemd:
    """systemd's manager object."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.subscribed = 0
        self.asked = anyio.Event()
        bus.export(
            SYSTEMD_PATH, Interface(MANAGER_INTERFACE, methods={"Subscribe": ("", "", self._subscribe)})
        )

    def _subscribe(self, _call: IncomingCall) -> Results:
        self.subscribed += 1
        self.asked.set()
        return ()

    def finished(self, *microseconds: int, signature: str = "tttttt") -> None:
        self.bus.emit(SYSTEMD_PATH, MANAGER_INTERFACE, "StartupFinished", signature, microseconds)

    def unit(self, path: str, state: str, interface: str = UNIT_INTERFACE) -> None:
        properties = {"ActiveState": Variant("s", state), "SubState": Variant("s", f"{state}!")}
        body = [interface, properties, []]
        self.bus.emit(UNIT_PATHS + path, PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body)


class Told:
    """What was published."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.changed = anyio.Event()

    def publish(self, emissions: list[Emission]) -> None:
        self.events += [(name, msgspec.to_builtins(data)) for name, data in emissions]
        self.changed.set()

    async def until(self, number: int) -> list[Any]:
        while len(self.events) < number:
            self.changed = anyio.Event()
            await self.changed.wait()
        return self.events


@pytest.fixture
async def systemd(bus: PrivateBus) -> AsyncIterator[StandinSystemd]:
    async with connect_bus(bus.address) as connection:
        standin = StandinSystemd(connection)
        await connection.request_name(SYSTEMD_NAME)
        yield standin


@pytest.fixture
async def our_bus(bus: PrivateBus) -> AsyncIterator[Bus]:
    async with connect_bus(bus.address) as connection:
        yield connection


async def test_the_end_of_the_boot_is_told_once(systemd: StandinSystemd, our_bus: Bus) -> None:
    told = Told()
    async with anyio.create_task_group() as tasks:
        await SystemdSource(our_bus, told.publish).start(tasks)
        assert systemd.subscribed == 1
        systemd.finished(1, signature="t")
        systemd.unit("a_2eservice", "failed")
        systemd.finished(0, 250_000, 1_000_000, 0, 2_500_000, 3_750_000)
        assert await told.until(1) == [
            (
                "GUEST_READY",
                {
                    "firmware": 0.0,
                    "loader": 0.25,
                    "kernel": 1.0,
                    "initrd": 0.0,
                    "userspace": 2.5,
                    "total": 3.75,
                },
            )
        ]


async def test_a_unit_that_fails_is_told_once_each_time(systemd: StandinSystemd, our_bus: Bus) -> None:
    told = Told()
    async with anyio.create_task_group() as tasks:
        await SystemdSource(our_bus, told.publish, unit_failures=True).start(tasks)
        systemd.unit("a_2eservice", "failed", interface="org.freedesktop.systemd1.Service")
        systemd.unit("a_2eservice", "active")
        systemd.unit("a_2eservice", "failed")
        systemd.unit("a_2eservice", "failed")
        systemd.unit("a_2eservice", "inactive")
        systemd.unit("a_2eservice", "failed")
        failed = ("UNIT_FAILED", {"unit": "a.service", "sub-state": "failed!"})
        systemd.unit("b", "failed")
        assert await told.until(3) == [failed, failed, ("UNIT_FAILED", {"unit": "b", "sub-state": "failed!"})]


async def test_a_systemd_that_starts_anew_is_asked_again(systemd: StandinSystemd, our_bus: Bus) -> None:
    async with anyio.create_task_group() as tasks:
        await SystemdSource(our_bus, Told().publish).start(tasks)
        systemd.asked = anyio.Event()
        await systemd.bus.release_name(SYSTEMD_NAME)
        await systemd.bus.request_name(SYSTEMD_NAME)
        await systemd.asked.wait()
    assert systemd.subscribed == 2


async def test_others_are_not_believed(systemd: StandinSystemd, our_bus: Bus, bus: PrivateBus) -> None:
    told = Told()
    async with anyio.create_task_group() as tasks, connect_bus(bus.address) as other:
        await SystemdSource(our_bus, told.publish, unit_failures=True).start(tasks)
        StandinSystemd(other).finished(0, 0, 0, 0, 0, 0)
        await other.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId")
        systemd.finished(1, 1, 1, 1, 1, 1)
        [(_, event)] = await told.until(1)
        assert event["total"] == 1e-6


async def test_without_systemd_nothing_is_told(our_bus: Bus) -> None:
    async with anyio.create_task_group() as tasks:
        await SystemdSource(our_bus, Told().publish, unit_failures=True).start(tasks)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ssh_2eservice", "ssh.service"),
        ("_", ""),
        ("a_40b_2d_c3_a9_2emount", "a@b-é.mount"),
        ("_5f_2eslice", "_.slice"),
        ("odd_zz", "odd_zz"),
        ("_ff", "\ufffd"),
    ],
)
def test_names_are_taken_from_paths(path: str, name: str) -> None:
    assert unit_name(UNIT_PATHS + path) == name
