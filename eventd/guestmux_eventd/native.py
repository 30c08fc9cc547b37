"""The commands that eventd answers itself, at once and from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from guestmux_eventd.agent_table import AgentTable
from guestmux_eventd.audit import Audit
from guestmux_eventd.availability import Availability
from guestmux_eventd.caller import Caller
from guestmux_eventd.claims import Claims
from guestmux_eventd.event_feed import EventFeed
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.event_terms import read_terms
from guestmux_eventd.freeze_gate import FreezeGate
from guestmux_eventd.policy import Policy
from guestmux_eventd.position import Since
from guestmux_eventd.privacy import Privacy
from guestmux_eventd.refusal import CommandFailure, command_not_found, disabled_by_policy
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.stream_state import StreamState
from guestmux_protocol import commands
from guestmux_protocol.commands import MUX_VERSION, NATIVE, QMP_ONLY
from guestmux_protocol.events import EVENTS
from guestmux_protocol.introspection import introspect
from guestmux_protocol.messages import Request
from guestmux_protocol.registry import Command
from guestmux_protocol.schema import InvalidParameter
from guestmux_protocol.sessions import Session
from guestmux_protocol.version import VERSION, version_info


class Host(Protocol):
    """The host connection that a command came from."""

    @property
    def dialect(self) -> str:
        """`qga`, `qmp` or `mux`."""

    @property
    def port(self) -> str:
        """The address of the port that it is on."""

    def upgrade(self) -> None:
        """Go over to mux, after the reply that is being made."""

    @property
    def events(self) -> EventFeed:
        """What it is sent of the events."""


class NativeCommands:
    """eventd's own commands.

    Args:
        sessions: the guest's sessions.
        agents: the registered agents.
        log: the events.
        state: how the stream of events stands; without it guest-info says nothing of it.
        policy: what may run; everything where not given.
        gate: shut while file systems are frozen.
        audit: the record of what is refused; none is kept where not given.
        privacy: what of events does not leave the guest.
        claims: what agents say about their sessions.
    """

    def __init__(
        self,
        sessions: SessionTable,
        agents: AgentTable,
        log: EventLog,
        *,
        state: StreamState | None = None,
        policy: Policy | None = None,
        gate: FreezeGate | None = None,
        audit: Audit | None = None,
        privacy: Privacy | None = None,
        claims: Claims | None = None,
    ) -> None:
        self._audit = audit
        self._claims = claims
        self._privacy = privacy or Privacy()
        self._policy = Policy() if policy is None else policy
        self._availability = Availability(sessions, agents, self._policy, gate or FreezeGate())
        self._sessions = sessions
        self._agents = agents
        self._log = log
        self._state = state
        self._handlers: dict[str, Callable[[Any, Host], Any]] = {
            "guest-sync": self._sync,
            "guest-sync-delimited": self._sync,
            "guest-ping": lambda _arguments, _host: {},
            "guest-info": self._info,
            "guest-get-users": self._users,
            "guest-get-sessions": lambda _arguments, host: self._snapshot(host),
            "guest-query-schema": self._schema,
            "guest-event-subscribe": self._subscribe,
            "guest-event-unsubscribe": self._unsubscribe,
            "guest-event-ack": self._acknowledge,
            "guest-mux-upgrade": self._upgrade,
            "query-version": lambda _arguments, _host: version_info(),
            "query-commands": self._query_commands,
        }

    def serves(self, command: str, dialect: str) -> bool:
        """Whether a port of this dialect has this command."""
        if command not in self._handlers or (dialect == "qga" and command in QMP_ONLY):
            return False
        return dialect == "qmp" or command != "guest-mux-upgrade"

    def run(self, request: Request, host: Host) -> Any:
        """Run a command.

        Raises:
            CommandFailure: it is none of eventd's, or refused by policy, or its arguments are wrong.
        """
        if not self.serves(request.command, host.dialect):
            raise command_not_found(request.command)
        if not self._policy.allows(request.command, host.port):
            failure = disabled_by_policy(request.command)
            if self._audit:
                self._audit.refused(Caller(host.port, host.dialect), request.command, "", failure.desc)
            raise failure
        try:
            arguments = NATIVE[request.command].parse(request.arguments)
        except InvalidParameter as error:
            raise CommandFailure(str(error)) from error
        return self._handlers[request.command](arguments, host)

    def _snapshot(self, host: Host) -> list[dict[str, Any]]:
        """Every session with its agents, as JSON."""
        return [self._session(session, streams=host.dialect == "mux") for session in self._sessions]

    def _session(self, session: Session, *, streams: bool) -> dict[str, Any]:
        agents = [agent.info(streams=streams) for agent in self._agents.of_session(session.session)]
        claimed = self._claims.told(session.session) if self._claims else []
        shown = msgspec.structs.replace(session, agents=agents, claimed=claimed or UNSET)
        members: dict[str, Any] = msgspec.to_builtins(shown)
        return members

    def _upgrade(self, arguments: commands.GuestMuxUpgrade, host: Host) -> Any:
        if arguments.version != MUX_VERSION:
            raise CommandFailure(f"version {MUX_VERSION} of mux is all that there is")
        host.upgrade()
        return {"version": MUX_VERSION}

    def _sync(self, arguments: commands.GuestSync, host: Host) -> int:
        # A host that syncs knows nothing of its past; an event would be taken for a reply (Proxmox, UTM).
        if host.dialect == "qga":
            host.events.clear()
        return arguments.id

    def _info(self, _arguments: commands.GuestInfo, host: Host) -> Any:
        supported = self._availability.commands(self._natives(host.dialect), host.dialect, host.port)
        events = self._state.info() if self._state and host.dialect != "qga" else UNSET
        told = commands.GuestAgentInfo(version=VERSION, supported_commands=supported, events=events)
        return msgspec.to_builtins(told)

    def _users(self, _arguments: commands.GuestGetUsers, _host: Host) -> Any:
        earliest: dict[str, float] = {}
        for session in self._sessions:
            if session.session_class == "user":
                known = earliest.get(session.user, session.login_time)
                earliest[session.user] = min(known, session.login_time)
        return [{"login-time": time, "user": user} for user, time in earliest.items()]

    def _schema(self, _arguments: commands.GuestQuerySchema, host: Host) -> Any:
        known = {**self._served(host.dialect), **{name: NATIVE[name] for name in self._natives(host.dialect)}}
        events = {**self._agents.events(), **EVENTS}
        return introspect(known.values(), map(self._privacy.described, events.values()))

    def _query_commands(self, _arguments: commands.QueryCommands, host: Host) -> Any:
        return [{"name": name} for name in sorted(self._names(host.dialect))]

    def _subscribe(self, arguments: commands.GuestEventSubscribe, host: Host) -> Any:
        position = arguments.since
        since = None if position is UNSET else Since(position.epoch, position.seq)
        host.events.subscribe(read_terms(arguments), since)
        return {
            "epoch": self._log.epoch,
            "seq": self._log.last,
            "snapshot": {"sessions": self._privacy.cut_sessions(self._snapshot(host))},
        }

    def _unsubscribe(self, arguments: commands.GuestEventUnsubscribe, host: Host) -> Any:
        patterns = None if arguments.events is UNSET else arguments.events
        host.events.unsubscribe(patterns, arguments.subscription)
        return {}

    def _acknowledge(self, arguments: commands.GuestEventAck, host: Host) -> Any:
        host.events.acknowledge(arguments.seq, arguments.subscription)
        return {}

    def _natives(self, dialect: str) -> Iterable[str]:
        names = [name for name in self._handlers if self.serves(name, dialect)]
        return [*names, "qmp_capabilities"] if dialect == "qmp" else names

    def _names(self, dialect: str) -> set[str]:
        return {*self._natives(dialect), *self._served(dialect)}

    def _served(self, dialect: str) -> dict[str, Command]:
        """What agents serve; streams are nothing to a host that can open none."""
        served = self._agents.commands().items()
        return {name: command for name, command in served if dialect == "mux" or not command.stream}
