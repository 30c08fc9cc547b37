"""Which agent a command without a file or process of its own goes to, by what the host says of the session."""

from __future__ import annotations

from typing import Any, NamedTuple

import anyio
import msgspec
from msgspec import UNSET

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.changes import Changes
from guestmux_eventd.refusal import CommandFailure, command_not_found
from guestmux_eventd.registration import KNOWN
from guestmux_eventd.session_table import SessionNotFound, SessionTable
from guestmux_protocol.commands import Routing
from guestmux_protocol.guest import GUEST
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_protocol.schema_python import from_python
from guestmux_protocol.session_commands import SESSION

MAX_TIMEOUT = 24 * 3600.0
"""Seconds that a host may give an agent, or wait for one: a user may be asked something overnight."""

_ROUTING = from_python(Routing)


class Route(NamedTuple):
    """What a host says about where and how long a command runs; None where it says nothing."""

    session: str | None
    wait: float
    timeout: float | None


def read_route(untrusted_routing: dict[str, Any]) -> Route:
    """Read the arguments that are eventd's own.

    Raises:
        CommandFailure: they have wrong types, or are out of bounds.
    """
    session = untrusted_routing.get("session")
    if len(untrusted_routing) == (session is not None) and (session is None or type(session) is str):
        # Most say no more than this, and say it often.
        return Route(session, 0.0, None)
    try:
        validate(_ROUTING, untrusted_routing)
    except InvalidParameter as error:
        raise CommandFailure(str(error)) from error
    routing = msgspec.convert(untrusted_routing, Routing)
    session = None if routing.session is UNSET else routing.session
    wait = 0.0 if routing.wait is UNSET else _seconds("wait", routing.wait)
    timeout = None if routing.timeout is UNSET else _seconds("timeout", routing.timeout)
    return Route(session, wait, timeout)


class AgentFinder:
    """Finds the agent that serves a command.

    Args:
        sessions: the guest's sessions.
        agents: the registered agents.
        changes: notified when a session or an agent comes or goes.
    """

    def __init__(self, sessions: SessionTable, agents: AgentTable, changes: Changes) -> None:
        self._sessions = sessions
        self._agents = agents
        self._changes = changes

    async def wait(self, command: str, route: Route) -> Agent:
        """The agent that a command is for; waits for it as long as the host says.

        Raises:
            CommandFailure: there is none.
        """
        if not route.wait:
            return self.find(command, route.session)
        deadline = anyio.current_time() + route.wait
        while True:
            try:
                return self.find(command, route.session)
            except CommandFailure:
                with anyio.CancelScope(deadline=deadline) as patience:
                    await self._changes.wait()
                if patience.cancelled_caught:
                    raise

    def find(self, command: str, untrusted_session: str | None) -> Agent:
        """The agent that a command is for now.

        Raises:
            CommandFailure: there is none.
        """
        if untrusted_session is None:
            return self._find_system(command)
        session = self.select(untrusted_session)
        if agent := self._agents.route(session, command):
            return agent
        if self._agents.of_session(session):
            desc = f"The command {command[:128]} has not been found in session '{session}'"
            raise CommandFailure(desc, COMMAND_NOT_FOUND)
        raise CommandFailure(
            f"no agent is registered in session '{session}'; is guestmux-session running there? "
            f"'wait' gives the seconds to wait for it"
        )

    def exists(self, command: str) -> bool:
        """Whether there is a command of this name, served now or not."""
        return command in KNOWN or self._agents.serves(command)

    def select(self, untrusted_session: str) -> str:
        """The id of the session that a host means.

        Raises:
            CommandFailure: there is none.
        """
        try:
            return self._sessions.select(untrusted_session)
        except SessionNotFound as error:
            raise CommandFailure(str(error)) from error

    def _find_system(self, command: str) -> Agent:
        if agent := self._agents.route_system(command):
            return agent
        if not self._agents.serves(command) and command not in SESSION:
            raise command_not_found(command)
        # A stock host of qemu-ga's takes CommandNotFound for what it is to it: this agent does not offer that.
        raise CommandFailure(
            f"The command {command} runs in a session: name it with 'session', "
            f"as a logind id, 'active' or 'user:NAME'",
            COMMAND_NOT_FOUND if command in GUEST else GENERIC_ERROR,
        )


def class_of(sessions: SessionTable, agent: Agent) -> str:
    """The class of an agent's session, as the policy names it."""
    session = sessions.get(agent.session)
    return session.session_class if session else agent.session


def _seconds(name: str, value: float) -> float:
    if not 0 <= value <= MAX_TIMEOUT:
        raise CommandFailure(f"Parameter '{name}' expects a number of seconds from 0 to {MAX_TIMEOUT:.0f}")
    return value
