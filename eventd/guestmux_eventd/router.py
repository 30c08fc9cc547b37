"""Where a host's command goes: the agent of a session, the system agent, the one that has the file, or nowhere."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import anyio

from guestmux_eventd.agent_finder import AgentFinder, Route, class_of, read_route
from guestmux_eventd.agent_links import GiveUp, Links, Settle, StreamLinks
from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.audit import Audit
from guestmux_eventd.background import Background
from guestmux_eventd.call_record import Record
from guestmux_eventd.caller import Caller
from guestmux_eventd.changes import Changes
from guestmux_eventd.freeze_gate import FREEZING, STATUS, THAW, FreezeGate
from guestmux_eventd.freeze_keeper import FreezeKeeper
from guestmux_eventd.handle_keeper import HandleKeeper
from guestmux_eventd.handle_table import Handle
from guestmux_eventd.plain_call import PlainCall, check_result
from guestmux_eventd.policy import Policy
from guestmux_eventd.refusal import (
    CommandFailure,
    command_not_found,
    disabled_by_policy,
    disabled_while_frozen,
)
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.stream_relay import StreamRelay
from guestmux_protocol.commands import take_routing
from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.handles import HANDLES, HandleUse, unknown_handle
from guestmux_protocol.guest.processes import MAX_LINGER
from guestmux_protocol.messages import Request
from guestmux_protocol.schema import InvalidParameter

__all__ = ["CALL_TIMEOUT", "Links", "Router"]

CALL_TIMEOUT = 30.0
"""Seconds that an agent has, where neither host nor configuration says otherwise."""

LONG_TIMEOUT = 3600.0
"""Seconds for what takes long by its nature, and whose usual hosts cannot say how long: Proxmox waits an hour."""

LONG_COMMANDS = frozenset(
    {
        *FREEZING,
        THAW,
        "guest-fstrim",
        "guest-shutdown",
        "guest-suspend-disk",
        "guest-suspend-ram",
        "guest-suspend-hybrid",
    }
)
"""Commands that wait for hooks, for disks, or for the machine to wake up."""


NOT_PLAIN = frozenset({*HANDLES, *FREEZING, THAW, STATUS})
"""Commands after which eventd itself has something to do, be it with files and processes or with the freeze gate."""

_NOTHING = nullcontext()


class Target(NamedTuple):
    """Where a command goes, and the file or process that it is about."""

    agent: Agent
    handle: Handle | None = None


class Wanted(NamedTuple):
    """A command as the host wants it.

    Attributes:
        command: its name.
        arguments: its own, as the host gave them.
        route: where it is to go.
    """

    command: str
    arguments: dict[str, Any]
    route: Route


class Admitted(NamedTuple):
    """A command that passed every check.

    Attributes:
        command: its name.
        arguments: its own, as the host gave them.
        target: where it goes.
        timeout: seconds that the agent has.
    """

    command: str
    arguments: dict[str, Any]
    target: Target
    timeout: float


class Router:
    """Sends commands to agents. `run` does what hosts do not wait for.

    Args:
        sessions: the guest's sessions.
        agents: the registered agents.
        links: the way to them.
        changes: notified when a session or an agent comes or goes.
        call_timeout: seconds that an agent has by default.
        policy: what may run; everything where not given.
        gate: shut while file systems are frozen.
        audit: the record of refused and privileged calls; none is kept where not given.
        streams: the way to agents for streams; there are none where not given.
    """

    def __init__(
        self,
        sessions: SessionTable,
        agents: AgentTable,
        links: Links,
        changes: Changes,
        call_timeout: float = CALL_TIMEOUT,
        *,
        policy: Policy | None = None,
        gate: FreezeGate | None = None,
        audit: Audit | None = None,
        streams: StreamLinks | None = None,
    ) -> None:
        self._audit = audit
        self._streams = streams
        self._sessions = sessions
        self._agents = agents
        self._links = links
        self._call_timeout = call_timeout
        self._policy = Policy() if policy is None else policy
        self._gate = FreezeGate() if gate is None else gate
        self._finder = AgentFinder(sessions, agents, changes)
        self._background = Background()
        self._handles = HandleKeeper(agents, links, self._background)
        self._freezes = FreezeKeeper(self._gate, agents, links, changes, self._background)

    async def run(self) -> None:
        """Let files and processes go that nobody wants, and follow freezes; until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._background.run)
            tasks.start_soon(self._handles.run)
            tasks.start_soon(self._freezes.run)

    def host_left(self, caller: Caller) -> None:
        """A host connection ended."""
        self._handles.host_left(caller)
        if self._audit:
            self._audit.tell_left_out()

    async def call(self, request: Request, caller: Caller) -> Any:
        """Run a command in the agent that it is for.

        Args:
            request: the host's request.
            caller: where it came from.

        Raises:
            CommandFailure: there is no such command, session, file or agent; policy or a freeze forbids it; or the
                agent failed, left, or was too slow.
        """
        admitted = await self._admit(request, caller, stream=False)
        return await self._run(admitted, caller)

    def ask(self, request: Request, caller: Caller, settle: Settle) -> GiveUp | None:
        """As `call`, without a task, for what is plain: one question to an agent that is there and has a channel.

        Args:
            request: the host's request.
            caller: where it came from.
            settle: called once, later, with the result or with why there is none.

        Returns:
            what gives it up, for use before it is settled; None where it is not plain: nothing was done, and `call`
            does it.

        Raises:
            CommandFailure: as for `call`.
        """
        if self._streams is None or request.command in NOT_PLAIN or "wait" in request.arguments:
            return None
        wanted = self._wanted(request)
        command, arguments = wanted.command, wanted.arguments
        agent = self._finder.find(command, wanted.route.session)
        if not self._streams.reaches(agent, command, arguments):
            return None
        self._check(wanted, agent, caller, stream=False)
        plain = PlainCall(agent, command, self._recorded(caller, agent, command), settle)
        plain.begin(self._streams, arguments, port=caller.port, timeout=self._timeout(command, wanted.route))
        return plain.give_up

    async def open(self, request: Request, caller: Caller, relay: StreamRelay) -> None:
        """Open a stream at the agent that it is for, and stay until it is over.

        Args:
            request: the host's, of a command that opens a stream.
            caller: where it came from.
            relay: the host's end of the stream. It is told of success, and of whatever comes after that.

        Raises:
            CommandFailure: as for `call`; then nothing was opened.
        """
        admitted = await self._admit(request, caller, stream=True)
        if self._streams is None:
            raise command_not_found(request.command)
        command, agent, handle = admitted.command, admitted.target.agent, admitted.target.handle
        sent = self._handles.outward(handle, admitted.arguments) if handle else admitted.arguments
        with self._handles.used(handle), self._recorded(caller, agent, command) as record:
            relay.check = partial(check_result, agent, command)
            await self._streams.open(agent, command, sent, relay, port=caller.port, timeout=admitted.timeout)
            record.outcome = "failed" if relay.failed else "done"

    async def _admit(self, request: Request, caller: Caller, *, stream: bool) -> Admitted:
        """Find the agent, and check everything that can be refused before it is asked."""
        wanted = self._wanted(request)
        command, arguments, route = wanted
        target = await self._target(command, route, arguments, caller)
        self._check(wanted, target.agent, caller, stream=stream)
        self._handles.check_room(caller, command)
        return Admitted(command, arguments, target, self._timeout(command, route))

    def _wanted(self, request: Request) -> Wanted:
        """Read what the host says of where the command goes."""
        command = request.command
        untrusted_routing, arguments = take_routing(request.arguments)
        if not self._finder.exists(command) and not untrusted_routing.get("wait"):
            raise command_not_found(command)
        return Wanted(command, arguments, read_route(untrusted_routing))

    def _check(self, wanted: Wanted, agent: Agent, caller: Caller, *, stream: bool) -> None:
        """Check what can be refused of any command once the agent is found."""
        command = wanted.command
        _check_kind(agent, command, stream=stream)
        self._check_allowed(command, agent, caller)
        _check_arguments(agent, command, wanted.arguments)

    async def _target(self, command: str, route: Route, arguments: dict[str, Any], caller: Caller) -> Target:
        use = HANDLES.get(command)
        if use and use.takes:
            return self._target_by_handle(command, use, route, arguments, caller)
        return Target(await self._finder.wait(command, route))

    def _target_by_handle(
        self, command: str, use: HandleUse, route: Route, arguments: dict[str, Any], caller: Caller
    ) -> Target:
        """The agent that has the file or process; the host need not name the session again."""
        handle = self._handles.find(caller, use, arguments)
        if handle is None:
            raise self._no_handle(command, use, arguments)
        agent = self._handles.agent_of(handle)
        if route.session is not None and self._finder.select(route.session) != agent.session:
            raise CommandFailure(unknown_handle(use.kind, handle.number))
        if command not in agent.commands:
            raise command_not_found(command)
        return Target(agent, handle)

    def _no_handle(self, command: str, use: HandleUse, arguments: dict[str, Any]) -> CommandFailure:
        """Why a command has no file or process to be about, in the order of qemu-ga's checks."""
        if not self._agents.serves(command):
            return command_not_found(command)
        try:
            GUEST[command].check(arguments)
        except InvalidParameter as error:
            return CommandFailure(str(error))
        return CommandFailure(unknown_handle(use.kind, arguments[use.takes]))

    def _check_allowed(self, command: str, agent: Agent, caller: Caller) -> None:
        failure = None
        if not self._gate.admits(command):
            failure = disabled_while_frozen(command)
        elif not self._policy.allows(command, caller.port, class_of(self._sessions, agent)):
            failure = disabled_by_policy(command)
        if failure:
            if self._audit:
                self._audit.refused(caller, command, agent.session, failure.desc)
            raise failure

    def _timeout(self, command: str, route: Route) -> float:
        if route.timeout is not None:
            return route.timeout
        if command in LONG_COMMANDS:
            return max(LONG_TIMEOUT, self._call_timeout)
        lingers = command == "guest-exec-read"
        return self._call_timeout + MAX_LINGER if lingers else self._call_timeout

    async def _run(self, admitted: Admitted, caller: Caller) -> Any:
        command, agent, handle = admitted.command, admitted.target.agent, admitted.target.handle
        sent = self._handles.outward(handle, admitted.arguments) if handle else admitted.arguments

        async def call() -> Any:
            value = await self._links.call(agent, command, sent, port=caller.port, timeout=admitted.timeout)
            check_result(agent, command, value)
            return value

        use = HANDLES.get(command)
        with self._handles.used(handle) if handle else _NOTHING, self._recorded(caller, agent, command):
            if use and use.gives is not None:
                value = await self._handles.opened(agent, use, call)
            else:
                value = await self._freezes.follow(agent, command, call)
            return self._handles.answered(caller, agent, command, handle, value)

    def _recorded(self, caller: Caller, agent: Agent, command: str) -> Record:
        """Put what happens inside on record."""
        return Record(self._audit, caller, agent, command)


def _check_kind(agent: Agent, command: str, *, stream: bool) -> None:
    """A stream is opened, everything else is called."""
    if agent.commands[command].stream and not stream:
        raise CommandFailure(f"The command {command} is a stream; open it, on a mux connection")
    if stream and not agent.commands[command].stream:
        raise CommandFailure(f"The command {command} is no stream; call it")


def _check_arguments(agent: Agent, command: str, arguments: dict[str, Any]) -> None:
    try:
        agent.commands[command].check(arguments)
    except InvalidParameter as error:
        raise CommandFailure(str(error)) from error
