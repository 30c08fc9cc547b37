"""How an agent stands with the eventd of this machine."""

from __future__ import annotations

from guestmux_session.check.findings import Finding, failed, passed
from guestmux_session.errors import from_bus
from guestmux_transport.bus import connect_bus
from guestmux_transport.errors import BusError
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import to_json


async def live_check(name: str, address: str) -> Finding:
    """Ask eventd whether an agent is registered.

    Args:
        name: what it registers as.
        address: the bus's that eventd is on.

    Raises:
        AgentError: eventd cannot be asked.
    """
    sessions = [session for session, each, _version in await _agents(address) if each == name]
    if sessions:
        return passed("live", f"registered in session {', '.join(sessions)}")
    return failed(
        "live",
        "no agent of yours with this name is registered",
        "start it in a session of yours; its log says why eventd refuses it",
    )


async def _agents(address: str) -> list[list[str]]:
    try:
        async with connect_bus(address) as bus:
            reply = await bus.call(MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "ListAgents")
    except BusError as error:
        raise from_bus(error) from error
    agents: list[list[str]] = to_json(reply.body[0])
    return agents
