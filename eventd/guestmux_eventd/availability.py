"""Which commands would be taken now, as guest-info tells it."""

from __future__ import annotations

from collections.abc import Iterable

from guestmux_eventd.agent_finder import class_of
from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.identity import BACKEND, SYSTEM
from guestmux_eventd.policy import Policy
from guestmux_eventd.session_table import SessionTable
from guestmux_protocol.commands import SupportedCommand
from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.order import in_peer_order


class Availability:
    """Asks tables, policy and freeze gate at once.

    Args:
        sessions: the guest's sessions.
        agents: the registered agents.
        policy: what may run.
        gate: shut while file systems are frozen.
    """

    def __init__(self, sessions: SessionTable, agents: AgentTable, policy: Policy, gate: FreezeGate) -> None:
        self._sessions = sessions
        self._agents = agents
        self._policy = policy
        self._gate = gate

    def commands(self, natives: Iterable[str], dialect: str, port: str) -> list[SupportedCommand]:
        """Every command that is served, in qemu-ga's order, and whether it would be taken.

        Args:
            natives: those that eventd answers itself.
            dialect: what the host that asks speaks.
            port: where it is.
        """
        own = {name: self._policy.allows(name, port) for name in natives}
        enabled = {**self._routed(dialect, port), **own}
        described = self._agents.commands()
        streams = dialect == "mux"
        return [
            SupportedCommand(
                name=name,
                enabled=enabled[name],
                success_response=name not in described or described[name].success_response,
            )
            for name in in_peer_order(enabled)
            if streams or name not in described or not described[name].stream
        ]

    def _routed(self, dialect: str, port: str) -> dict[str, bool]:
        """Whether what agents serve is taken anywhere."""
        routed: dict[str, bool] = {}
        for session_class, names in self._served().items():
            for name in names:
                routed[name] = routed.get(name, False) or self._is_taken(name, session_class, dialect, port)
        return routed

    def _served(self) -> dict[str, set[str]]:
        """Commands by the class of session that they are served in."""
        served: dict[str, set[str]] = {}
        for agent in self._agents:
            served.setdefault(class_of(self._sessions, agent), set()).update(agent.commands)
        return served

    def _is_taken(self, name: str, session_class: str, dialect: str, port: str) -> bool:
        if dialect == "qga" and session_class not in (SYSTEM, BACKEND) and name in GUEST:
            # Hosts of qemu-ga's name no session, and would be refused.
            return False
        return self._gate.admits(name) and self._policy.allows(name, port, session_class)
