"""What the bus policy that is installed lets others do, on a real daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import Interface
from guestmux_transport.errors import CallError
from guestmux_transport.names import AGENT_INTERFACE
from tests.support.dbus_daemon import STRICT_POLICY, private_bus

pytestmark = pytest.mark.anyio

DBUS = Path(__file__).parents[2] / "packaging/dbus"


def policy() -> str:
    """What is about everybody; the user of eventd's need not be there."""
    text = (DBUS / "org.guestmux.conf").read_text()
    return "".join(re.findall(r'<policy context="default">.*?</policy>', text, re.DOTALL))


async def call(bus: Bus, name: str, interface: str | None, member: str) -> str:
    # D-Bus lets callers leave the interface out; the adapter's own callers never do.
    reply = await bus.call(name, "/a", interface, member)  # type: ignore[arg-type]
    return str(reply.body[0])


async def test_agents_are_called_by_eventd_alone_and_others_as_before() -> None:
    members = re.findall(r'<method name="(\w+)"', (DBUS / "org.guestmux.Agent1.xml").read_text())
    with private_bus(policy=STRICT_POLICY + policy()) as daemon:
        async with connect_bus(daemon.address) as agent, connect_bus(daemon.address) as other:
            methods = {member: ("", "s", lambda _call: ("done",)) for member in [*members, "Other"]}
            agent.export("/a", Interface(AGENT_INTERFACE, methods=methods))
            agent.export("/a", Interface("org.example.Other", methods=methods))
            for member in members:
                for interface in (AGENT_INTERFACE, None):
                    with pytest.raises(CallError, match="Rejected"):
                        await call(other, agent.unique_name, interface, member)
            assert await call(other, agent.unique_name, "org.example.Other", members[0]) == "done"
            # Which interface it is of need not be said.
            assert await call(other, agent.unique_name, None, "Other") == "done"
