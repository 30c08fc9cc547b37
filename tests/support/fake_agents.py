"""eventd's tables, router and native commands with agents that are functions: no bus, no process."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.audit import Audit
from guestmux_eventd.caller import Caller
from guestmux_eventd.changes import Changes
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.identity import SYSTEM, Identity
from guestmux_eventd.policy import Policy
from guestmux_eventd.registration import KNOWN
from guestmux_eventd.router import Router
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.messages import Request
from guestmux_protocol.registry import declared_command
from guestmux_protocol.sessions import Session

Behaviour = Callable[..., Any] | Callable[..., Awaitable[Any]]


def fake_agent(session: str, *commands: str, sender: str = "") -> Agent:
    """An agent of alice's, or root's where it serves the system."""
    served = {name: KNOWN.get(name) or declared_command(name, "") for name in commands}
    uid, user = (0, "root") if session == SYSTEM else (1000, "alice")
    bucket = TokenBucket(1, 1, lambda: 0.0)
    return Agent(
        sender or f":1.{session}",
        "/a",
        f"agent-{session}",
        "1",
        session,
        Identity(uid, 1, user),
        bucket,
        served,
    )


class FakeAgents:
    """A guest of one session, c1 of alice, whose agents do what the test says.

    Attributes:
        behave: what each command does with its arguments, in whichever agent.
        calls: the agent's name, the command and the arguments of each call, in order.
    """

    def __init__(self, policy: Policy | None = None, audit: Audit | None = None) -> None:
        self.behave: dict[str, Behaviour] = {}
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.timeouts: list[float] = []
        self.sessions, self.agents, self.changes = SessionTable(), AgentTable(), Changes()
        self.gate = FreezeGate()
        self.sessions.add(Session(session="c1", user="alice", uid=1000, session_class="user"))
        self.router = Router(
            self.sessions, self.agents, self, self.changes, policy=policy, gate=self.gate, audit=audit
        )
        self.qga = Caller("qga-port", "qga")
        self.qmp = Caller("qmp-port", "qmp")

    def add(self, session: str, *commands: str, sender: str = "") -> Agent:
        """Register an agent."""
        agent = fake_agent(session, *commands, sender=sender)
        self.agents.add(agent)
        self.changes.notify()
        return agent

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Links.call."""
        self.calls.append((agent.name, command, arguments))
        self.timeouts.append(timeout)
        result = self.behave[command](**arguments)
        return await result if inspect.isawaitable(result) else result

    async def ask(self, caller: Caller, command: str, **arguments: Any) -> Any:
        """Run a command as a host would."""
        return await self.router.call(Request(command, arguments), caller)
