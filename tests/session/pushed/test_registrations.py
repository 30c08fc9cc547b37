"""Which agents are registered, asked of an eventd and a logind that are played."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guestmux_session.pushed.registrations import Registration, Registrations
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import Interface
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.standin_logind import standin_logind

pytestmark = pytest.mark.anyio

ROWS = [["c1", "org.example.clock", "1.0"], ["c2", "org.example.clock", "1.1"], ["system", "a", "1"]]


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


async def told(address: str, *, system: bool = False, uid: int = 0) -> list[Registration]:
    """What an agent is told by an eventd that tells all."""
    async with connect_bus(address) as eventd, connect_bus(address) as bus:
        interface = Interface(
            MANAGER_INTERFACE, methods={"ListAgents": ("", "a(sss)", lambda _call: (ROWS,))}
        )
        eventd.export(MANAGER_PATH, interface)
        await eventd.request_name(MANAGER_NAME)
        registrations = Registrations(system=system, uid=uid)
        assert await registrations.all() == []
        registrations.attach(bus)
        return await registrations.all()


async def test_roots_session_is_not_told_of_others(system_bus: PrivateBus) -> None:
    alices, roots, systems = (Registration(*row) for row in ROWS)
    async with standin_logind(system_bus.address) as logind:
        await logind.control.login("alice", 1000, id="c1")
        await logind.control.login("root", 0, id="c2")
        assert await told(system_bus.address) == [roots]
        assert await told(system_bus.address, system=True) == [systems]
        # Others are told of their own alone.
        assert await told(system_bus.address, uid=1000) == [alices, roots]


async def test_without_logind(system_bus: PrivateBus) -> None:
    assert len(await told(system_bus.address)) == 2
