"""What the router needs of the way to the agents, whatever that is: D-Bus, a channel, or the same process."""

from __future__ import annotations

from typing import Any, Protocol

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.stream_relay import StreamRelay


class Links(Protocol):
    """The way to the agents."""

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Run a command in an agent.

        Args:
            agent: which.
            command: a command that it registered.
            arguments: validated arguments.
            port: the host's port, told to the agent; empty where eventd itself calls.
            timeout: seconds until the call is given up and cancelled.

        Raises:
            CommandFailure: the agent failed, left, or was too slow.
        """


class StreamLinks(Protocol):
    """The way to the agents for streams."""

    async def open(
        self,
        agent: Agent,
        command: str,
        arguments: dict[str, Any],
        relay: StreamRelay,
        *,
        port: str,
        timeout: float,
    ) -> None:
        """Open a stream at an agent, and stay until it is over.

        Args:
            agent: which.
            command: a stream that it registered.
            arguments: validated arguments.
            relay: the host's end.
            port: the host's port, told to the agent.
            timeout: seconds until it has to be open.

        Raises:
            CommandFailure: the agent refused, left, or was too slow; the host was told nothing.
        """
