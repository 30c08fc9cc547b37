"""An agent of bare D-Bus calls with a channel, on which the test does by hand what no SDK would."""

from __future__ import annotations

import socket
from typing import Any

from guestmux_protocol.mux import MuxLimits
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.names import MANAGER_INTERFACE, MANAGER_NAME, MANAGER_PATH
from guestmux_transport.values import Variant
from tests.support.bare_agent import BareAgent
from tests.support.mux_end import MuxEnd


async def acquire(agent: BareAgent, path: str = "", **options: Any) -> socket.socket:
    """Ask for a channel; gives the agent's end."""
    given = {name: Variant(*value) for name, value in options.items()}
    reply = await agent.bus.call(
        MANAGER_NAME, MANAGER_PATH, MANAGER_INTERFACE, "AcquireChannel", "oa{sv}", (path or agent.path, given)
    )
    index, limits = reply.body
    assert {name: variant.value for name, variant in limits.items()} == {
        "version": 1,
        "max-frame": 65536,
        "window": 1 << 20,
    }
    fd = reply.fds.pop(index)
    close_fds(reply.fds)
    return socket.socket(fileno=fd)


async def channel_of(agent: BareAgent, limits: MuxLimits | None = None) -> MuxEnd:
    """A channel on which both have greeted."""
    end = MuxEnd(await acquire(agent, version=("u", 1)), "server", limits)
    await end.greet()
    return end
