"""What the router needs of the way to the agents, whatever that is: D-Bus, a channel, or the same process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.large_values import is_one_line
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.stream_relay import StreamRelay
from guestmux_protocol.messages import JsonText


class Result(NamedTuple):
    """What an agent answered.

    Attributes:
        value: decoded.
        text: the same as the agent wrote it.
    """

    value: Any
    text: bytes

    @property
    def passed_on(self) -> Any:
        """It in the form in which to encode it: the agent's own text where that is fit to be passed on."""
        return JsonText(self.text) if is_one_line(self.text) else self.value


Outcome: TypeAlias = Result | CommandFailure

Settle: TypeAlias = Callable[[Outcome], None]

GiveUp: TypeAlias = Callable[[], None]


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
    """The way to the agents that have channels: for streams, and for calls without a task."""

    def reaches(self, agent: Agent, command: str, arguments: dict[str, Any]) -> bool:
        """Whether a call goes over the agent's channel."""

    def ask(
        self,
        agent: Agent,
        command: str,
        arguments: dict[str, Any],
        settle: Settle,
        *,
        port: str,
        timeout: float,
    ) -> GiveUp:
        """As `Links.call`, for what it reaches, and without waiting.

        Args:
            agent: which.
            command: a command that it registered.
            arguments: validated arguments.
            settle: called once, later, with the agent's result or with why there is none.
            port: the host's port, told to the agent.
            timeout: seconds until the call is given up and cancelled.

        Returns:
            what gives the call up: then nobody is told, and the agent is cancelled; nothing where it ended.

        Raises:
            CommandFailure: the agent has too much to do.
        """

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
