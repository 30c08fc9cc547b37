"""The registered agents and what each serves. Synchronous: it decides, others act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from guestmux_eventd.event_reader import RESERVED_MEMBERS, EventReader
from guestmux_eventd.identity import BACKEND, SYSTEM, Identity
from guestmux_eventd.presence import Presence
from guestmux_eventd.refusal import ALREADY_REGISTERED, INVALID_ARGUMENT, LIMIT_EXCEEDED, Refusal
from guestmux_eventd.session_table import Emission
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol import events
from guestmux_protocol.commands import NATIVE, Routing
from guestmux_protocol.guest import GUEST
from guestmux_protocol.json_text import encode
from guestmux_protocol.registry import Command, EventType
from guestmux_protocol.session_commands import SESSION
from guestmux_protocol.sessions import AgentInfo

MAX_AGENTS = 1024
"""Registered agents in all."""

MAX_AGENTS_PER_USER = 16
"""Registered agents of one user who is not root: none can fill the table, nor all of `bus_slots` by never answering."""

DOWNSTREAM_PREFIX = "__"
"""QAPI's mark of names that are not the project's own (docs/interop/qmp-spec.rst, Downstream extension)."""

ROUTING_ARGUMENTS = frozenset(Routing.__struct_encode_fields__)
"""Arguments that eventd takes out of a command before an agent sees it."""

SHARED = "guest-get-users"
"""The one command of eventd's own that agents may serve too: without logind (guestmux-qga) it is theirs to answer."""


EVENTD_ENDED = "eventd-ended"
"""Why an agent is gone whose registration was with a run of eventd that is over."""


@dataclass(eq=False)
class Agent:
    """A registered agent.

    Attributes:
        sender: its unique name on the bus.
        path: its object.
        name: what it calls itself.
        session: logind's id, SYSTEM, or BACKEND.
        identity: who it is, as the bus and logind say.
        commands: what it serves.
        events: what it may emit.
        bucket: how fast its bus client may emit.
        large: whether it takes and gives large messages as memfds.
        presence: stays the same when it registers anew, and not when it left and came back.
        streams: of what it serves, that which has to wait until it has a channel.
        readers: what reads its events, made when the first of a kind comes as JSON text.
    """

    sender: str
    path: str
    name: str
    version: str
    session: str
    identity: Identity
    bucket: TokenBucket
    commands: dict[str, Command] = field(default_factory=dict)
    events: dict[str, EventType] = field(default_factory=dict)
    large: bool = False
    presence: Presence = field(default_factory=Presence)
    streams: dict[str, Command] = field(init=False, default_factory=dict)
    readers: dict[str, EventReader] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if any(command.stream for command in self.commands.values()):
            self.streams = {name: command for name, command in self.commands.items() if command.stream}
            self.commands = {name: command for name, command in self.commands.items() if not command.stream}

    def __repr__(self) -> str:
        return f"<Agent {self.name} of {self.session} {self.sender}>"

    @property
    def whence(self) -> dict[str, str]:
        """What every event of its has."""
        return {"session": self.session, "user": self.identity.user, "agent": self.name}

    @cached_property
    def whence_text(self) -> bytes:
        """The same as JSON text without braces, with the source before it."""
        return encode({"source": events.CLAIMED, **self.whence})[1:-1]

    def info(self, *, streams: bool) -> AgentInfo:
        """The agent as guest-get-sessions shows it, with its streams or without."""
        shown = [name for name, command in self.commands.items() if streams or not command.stream]
        return AgentInfo(name=self.name, version=self.version, commands=sorted(shown))


class AgentTable:
    """Every registered agent, found by its bus name, its session, and its commands."""

    def __init__(self) -> None:
        self._agents: dict[tuple[str, str], Agent] = {}
        self._by_sender: dict[str, list[Agent]] = {}
        self._by_session: dict[str, list[Agent]] = {}
        self._by_user: Counter[int] = Counter()
        self._routes: dict[tuple[str, str], Agent] = {}
        self._served: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<AgentTable {len(self._agents)} agents>"

    def __iter__(self) -> Iterator[Agent]:
        return iter(tuple(self._agents.values()))

    def __len__(self) -> int:
        return len(self._agents)

    def add(self, agent: Agent) -> list[Emission]:
        """Take in an agent. One at the same object of the same bus client is replaced: it serves other commands now.

        Hosts are told that the replaced one is gone only where the new one is not the same by name and session.

        Raises:
            Refusal: AlreadyRegistered, LimitExceeded or InvalidArgument; then everything is as before.
        """
        replaced = self.get(agent.sender, agent.path)
        if replaced:
            self._take_out(replaced)
        try:
            self._check(agent)
        except Refusal:
            if replaced:
                self._enter(replaced)
            raise
        if replaced:
            agent.presence = replaced.presence
        self._enter(agent)
        emissions = [_registered(agent)]
        if replaced and (replaced.session, replaced.name) != (agent.session, agent.name):
            emissions.insert(0, _gone(replaced, "unregistered"))
        return emissions

    def channel_ready(self, agent: Agent) -> list[Emission]:
        """Let an agent that has a channel from now on serve its streams; it counts as registered anew, with them."""
        if not agent.streams:
            return []
        self._take_out(agent)
        self._enter(agent)
        return [_registered(agent)]

    def remove(self, agent: Agent, reason: str) -> list[Emission]:
        """Drop an agent; nothing if it is gone already."""
        if self._agents.get((agent.sender, agent.path)) is not agent:
            return []
        self._take_out(agent)
        return [_gone(agent, reason)]

    def get(self, sender: str, path: str) -> Agent | None:
        """The agent at an object of a bus client."""
        return self._agents.get((sender, path))

    def now(self, agent: Agent) -> Agent | None:
        """The agent as it is registered now; None once it left."""
        current = self.get(agent.sender, agent.path)
        return current if current and current.presence is agent.presence else None

    def of_sender(self, sender: str) -> list[Agent]:
        """The agents of one bus client."""
        return list(self._by_sender.get(sender, ()))

    def of_session(self, session: str) -> list[Agent]:
        """The agents of one session."""
        return list(self._by_session.get(session, ()))

    def route(self, session: str, command: str) -> Agent | None:
        """The agent that serves a command in a session."""
        return self._routes.get((session, command))

    def route_system(self, command: str) -> Agent | None:
        """The agent that serves a command for the whole guest: the system agent, else the stock qemu-ga."""
        return self.route(SYSTEM, command) or self.route(BACKEND, command)

    def serves(self, command: str) -> bool:
        """Whether any agent in any session serves a command."""
        return self._served[command] > 0

    def commands(self) -> dict[str, Command]:
        """Every command that some agent serves; of the stock qemu-ga's only those that no other does."""
        agents = sorted(self._agents.values(), key=lambda agent: agent.session != BACKEND)
        return {name: command for agent in agents for name, command in agent.commands.items()}

    def events(self) -> dict[str, EventType]:
        """Every event that some agent declared."""
        return {name: event for agent in self._agents.values() for name, event in agent.events.items()}

    def _enter(self, agent: Agent) -> None:
        if agent.presence.channel:
            agent.commands |= {
                name: command
                for name, command in agent.streams.items()
                if self.route(agent.session, name) is None
            }
        self._agents[agent.sender, agent.path] = agent
        self._by_sender.setdefault(agent.sender, []).append(agent)
        self._by_session.setdefault(agent.session, []).append(agent)
        self._by_user[agent.identity.uid] += 1
        self._routes.update({(agent.session, command): agent for command in agent.commands})
        self._served.update(agent.commands.keys())

    def _take_out(self, agent: Agent) -> None:
        """Senders come and go without end; an empty entry for each would fill the memory."""
        del self._agents[agent.sender, agent.path]
        for table, key in ((self._by_sender, agent.sender), (self._by_session, agent.session)):
            table[key].remove(agent)
            if not table[key]:
                del table[key]
        for command in agent.commands:
            del self._routes[agent.session, command]
        _count_down(self._by_user, [agent.identity.uid])
        _count_down(self._served, agent.commands)

    def _check(self, agent: Agent) -> None:
        self._refuse_duplicate(agent)
        self._refuse_excess(agent)
        self._refuse_foreign_names(agent)

    def _refuse_duplicate(self, agent: Agent) -> None:
        for other in self.of_session(agent.session):
            if other.name == agent.name:
                desc = f"an agent '{agent.name}' is registered in session '{agent.session}' already"
                raise Refusal(ALREADY_REGISTERED, desc)
        for command in (*agent.commands, *agent.streams):
            if owner := self.route(agent.session, command):
                desc = f"'{command}' is served by agent '{owner.name}' in session '{agent.session}' already"
                raise Refusal(ALREADY_REGISTERED, desc)

    def _refuse_excess(self, agent: Agent) -> None:
        if len(self._agents) >= MAX_AGENTS:
            raise Refusal(LIMIT_EXCEEDED, f"at most {MAX_AGENTS} agents can be registered")
        uid = agent.identity.uid
        if uid != 0 and self._by_user[uid] >= MAX_AGENTS_PER_USER:
            raise Refusal(LIMIT_EXCEEDED, f"at most {MAX_AGENTS_PER_USER} agents a user")

    def _refuse_foreign_names(self, agent: Agent) -> None:
        commands = {**agent.commands, **agent.streams}
        for command in commands:
            if agent.session != BACKEND and not _is_free(command):
                desc = f"command '{command}' needs a name with a downstream prefix, such as __org.example_{command}"
                raise Refusal(INVALID_ARGUMENT, desc)
        for name, command_type in commands.items():
            if taken := ROUTING_ARGUMENTS & {member.name for member in command_type.arguments.members}:
                desc = f"command '{name}' declares '{min(taken)}', which is an argument for eventd"
                raise Refusal(INVALID_ARGUMENT, desc)
        for name, event in agent.events.items():
            if name not in events.OF_AGENTS and not name.startswith(DOWNSTREAM_PREFIX):
                desc = f"event '{name}' needs a name with a downstream prefix, such as __org.example_{name}"
                raise Refusal(INVALID_ARGUMENT, desc)
            if taken := RESERVED_MEMBERS & {member.name for member in event.data.members}:
                desc = f"event '{name}' declares '{min(taken)}', which eventd fills in itself"
                raise Refusal(INVALID_ARGUMENT, desc)


def _is_free(command: str) -> bool:
    """Whether an agent may serve a command of this name."""
    if command in GUEST or command in SESSION or command == SHARED:
        return True
    return command.startswith(DOWNSTREAM_PREFIX) and command not in NATIVE


def _registered(agent: Agent) -> Emission:
    return "AGENT_REGISTERED", events.AgentRegistered(
        session=agent.session,
        agent=agent.name,
        version=agent.version,
        user=agent.identity.user,
        uid=agent.identity.uid,
        commands=sorted(agent.commands),
    )


def _gone(agent: Agent, reason: str) -> Emission:
    return agent_gone(agent.session, agent.name, reason)


def agent_gone(session: str, name: str, reason: str) -> Emission:
    """The event of an agent that is gone."""
    return "AGENT_GONE", events.AgentGone(session=session, agent=name, reason=reason)


Key = TypeVar("Key")


def _count_down(counter: Counter[Key], keys: Iterable[Key]) -> None:
    for key in keys:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
