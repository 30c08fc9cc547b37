"""The D-Bus interface files say what eventd and agents really offer, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import anyio
import pytest

from guestmux_session import Agent
from guestmux_session.membership import AGENT_PATH
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.names import INTROSPECTABLE_INTERFACE, MANAGER_NAME, MANAGER_PATH
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import running_eventd
from tests.support.standin_logind import standin_logind
from tests.support.standin_manager import standin_manager

pytestmark = pytest.mark.anyio

FILES = Path(__file__).parents[2] / "packaging" / "dbus"


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


class Silent(Agent):
    name = "org.example.silent"
    version = "1"


def shape(interface: ElementTree.Element) -> set[tuple[str, ...]]:
    """Every member with its types, without the names of arguments, which only the files have."""
    members: set[tuple[str, ...]] = set()
    for member in interface:
        if member.tag == "property":
            members.add(("property", member.attrib["name"], member.attrib["type"], member.attrib["access"]))
        else:
            arguments = [argument.attrib for argument in member.iter("arg")]
            types = [f"{each.get('direction', 'out')} {each['type']}" for each in arguments]
            members.add((member.tag, member.attrib["name"], *types))
    return members


def interface_of(text: str, name: str) -> ElementTree.Element:
    (found,) = [each for each in ElementTree.fromstring(text).iter("interface") if each.get("name") == name]
    return found


def written(name: str) -> ElementTree.Element:
    return interface_of((FILES / f"{name}.xml").read_text(), name)


async def offered(bus: Bus, owner: str, path: str, name: str) -> ElementTree.Element:
    reply = await bus.call(owner, path, INTROSPECTABLE_INTERFACE, "Introspect")
    return interface_of(reply.body[0], name)


async def test_the_manager(bus: PrivateBus) -> None:
    async with standin_logind(bus.address):
        with running_eventd(bus.address):
            async with connect_bus(bus.address) as client:
                real = await offered(client, MANAGER_NAME, MANAGER_PATH, "org.guestmux.Manager1")
    assert shape(real) == shape(written("org.guestmux.Manager1"))


async def test_an_agent(bus: PrivateBus) -> None:
    async with standin_manager(bus.address) as manager, anyio.create_task_group() as group:
        group.start_soon(Silent(bus=bus.address).run)
        agent = await manager.agent()
        real = await offered(manager.bus, agent.sender, AGENT_PATH, "org.guestmux.Agent1")
        group.cancel_scope.cancel()
    assert shape(real) == shape(written("org.guestmux.Agent1"))


@pytest.mark.parametrize("name", ["org.guestmux.Manager1", "org.guestmux.Agent1"])
def test_every_argument_has_a_name(name: str) -> None:
    for method in written(name).iter("method"):
        names = [argument.get("name", "") for argument in method.iter("arg")]
        assert all(names), method.get("name")
        assert len({*names}) == len(names)


def test_every_member_is_in_the_page() -> None:
    page = (FILES.parents[1] / "docs" / "agents.md").read_text()
    for name in ("org.guestmux.Manager1", "org.guestmux.Agent1"):
        for member in written(name):
            assert f"`{member.get('name')}" in page, member.get("name")
