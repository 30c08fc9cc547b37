"""How an agent stands with the eventd of this machine."""

from __future__ import annotations

import anyio

from guestmux_session.check.findings import Finding, failed, passed
from guestmux_session.errors import from_bus
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.errors import BusError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import to_json

WAIT_SECONDS = 5.0
"""An agent that was started a moment ago registers within one or two."""

LOOK_SECONDS = 0.2
"""Between two questions: eventd tells nobody by itself who registered."""


async def live_check(name: str, address: str) -> Finding:
    """Ask eventd whether an agent is registered, for as long as it may take to.

    Args:
        name: what it registers as.
        address: the bus's that eventd is on.

    Raises:
        AgentError: eventd cannot be asked.
    """
    try:
        async with connect_bus(address) as bus:
            with anyio.move_on_after(WAIT_SECONDS):
                return await _until_registered(bus, name)
    except BusError as error:
        raise from_bus(error) from error
    text = f"no agent of yours with this name is registered, and none came within {WAIT_SECONDS:g} s"
    return failed("live", text, "start it in a session of yours; its log says why eventd refuses it")


async def _until_registered(bus: Bus, name: str) -> Finding:
    while True:
        reply = await bus.call(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "ListAgents")
        sessions = [session for session, each, _version in to_json(reply.body[0]) if each == name]
        if sessions:
            return passed("live", f"registered in session {', '.join(sessions)}")
        await anyio.sleep(LOOK_SECONDS)
