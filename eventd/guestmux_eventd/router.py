"""Where a host's command goes: eventd itself, the agent of a session, the system agent, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import msgspec
from msgspec import UNSET

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.changes import Changes
from guestmux_eventd.identity import SYSTEM
from guestmux_eventd.refusal import CommandFailure, command_not_found
from guestmux_eventd.session_table import SessionNotFound, SessionTable
from guestmux_protocol.commands import Routing, take_routing
from guestmux_protocol.messages import COMMAND_NOT_FOUND, Request
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_protocol.schema_python import from_python
from guestmux_protocol.session_commands import SESSION

CALL_TIMEOUT = 30.0
"""Seconds that an agent has, where neither host nor configuration says otherwise."""

MAX_TIMEOUT = 24 * 3600.0
"""Seconds that a host may give an agent, or wait for one: a user may be asked something overnight."""

_ROUTING = from_python(Routing)


class Links(Protocol):
    """The way to the agents."""

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Run a command in an agent."""


@dataclass(frozen=True)
class Route:
    """What a host says about where and how long a command runs."""

    session: str | None
    wait: float
    timeout: float


class Router:
    """Sends commands to agents.

    Args:
        sessions: the guest's sessions.
        agents: the registered agents.
        links: the way to them.
        changes: notified when a session or an agent comes or goes.
        call_timeout: seconds that an agent has by default.
    """

    def __init__(
        self,
        sessions: SessionTable,
        agents: AgentTable,
        links: Links,
        changes: Changes,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        self._sessions = sessions
        self._agents = agents
        self._links = links
        self._changes = changes
        self._call_timeout = call_timeout

    async def call(self, request: Request, port: str) -> Any:
        """Run a command in the agent that it is for.

        Args:
            request: the host's request.
            port: where it came from, told to the agent.

        Raises:
            CommandFailure: there is no such command, session or agent; or the agent failed, left, or was too slow.
        """
        untrusted_routing, arguments = take_routing(request.arguments)
        known = self._agents.serves(request.command) or request.command in SESSION
        if not known and not untrusted_routing.get("wait"):
            raise command_not_found(request.command)
        route = self._route(untrusted_routing)
        agent = await self._wait_for_agent(request.command, route)
        command = agent.commands[request.command]
        try:
            command.check(arguments)
            value = await self._links.call(
                agent, request.command, arguments, port=port, timeout=route.timeout
            )
        except InvalidParameter as error:
            raise CommandFailure(str(error)) from error
        self._check_result(agent, request.command, value)
        return value

    def _route(self, untrusted_routing: dict[str, Any]) -> Route:
        try:
            validate(_ROUTING, untrusted_routing)
        except InvalidParameter as error:
            raise CommandFailure(str(error)) from error
        routing = msgspec.convert(untrusted_routing, Routing)
        session = None if routing.session is UNSET else routing.session
        wait = 0.0 if routing.wait is UNSET else _seconds("wait", routing.wait)
        timeout = self._call_timeout if routing.timeout is UNSET else _seconds("timeout", routing.timeout)
        return Route(session, wait, timeout)

    async def _wait_for_agent(self, command: str, route: Route) -> Agent:
        deadline = anyio.current_time() + route.wait
        while True:
            try:
                return self._find(command, route.session)
            except CommandFailure:
                with anyio.CancelScope(deadline=deadline) as patience:
                    await self._changes.wait()
                if patience.cancelled_caught:
                    raise

    def _find(self, command: str, untrusted_session: str | None) -> Agent:
        if untrusted_session is None:
            return self._find_system(command)
        try:
            session = self._sessions.select(untrusted_session)
        except SessionNotFound as error:
            raise CommandFailure(str(error)) from error
        if agent := self._agents.route(session, command):
            return agent
        if self._agents.of_session(session):
            desc = f"The command {command[:128]} has not been found in session '{session}'"
            raise CommandFailure(desc, COMMAND_NOT_FOUND)
        raise CommandFailure(
            f"no agent is registered in session '{session}'; is guestmux-session running there? "
            f"'wait' gives the seconds to wait for it"
        )

    def _find_system(self, command: str) -> Agent:
        if agent := self._agents.route(SYSTEM, command):
            return agent
        if self._agents.serves(command) or command in SESSION:
            raise CommandFailure(
                f"The command {command} runs in a session: name it with 'session', "
                f"as a logind id, 'active' or 'user:NAME'"
            )
        raise command_not_found(command)

    def _check_result(self, agent: Agent, command: str, value: Any) -> None:
        try:
            validate(agent.commands[command].returns, value, "return")
        except InvalidParameter as error:
            desc = f"agent '{agent.name}' answered {command} against its own schema: {error}"
            raise CommandFailure(desc) from error


def _seconds(name: str, value: float) -> float:
    if not 0 <= value <= MAX_TIMEOUT:
        raise CommandFailure(f"Parameter '{name}' expects a number of seconds from 0 to {MAX_TIMEOUT:.0f}")
    return value
