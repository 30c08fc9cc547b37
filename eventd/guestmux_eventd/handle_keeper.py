"""Hosts' files and processes: their numbers translated, and each let go at its agent when its owner is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import SystemRandom
from typing import Any

import anyio

from guestmux_eventd.agent_links import Links
from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.background import Background
from guestmux_eventd.caller import Caller
from guestmux_eventd.changes import Changes
from guestmux_eventd.handle_table import MAX_OWN, Handle, HandleTable
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.guest.handles import CLOSING, HANDLES, HandleUse, Kind

FIRST_NUMBERS = 1 << 30
"""The first number is drawn from as many, so that one from before a restart stands for nothing after it.

A pid is an int of 32 bits to many a host.
"""

CLOSE_TIMEOUT = 10.0
"""Seconds that an agent has to let go of what nobody wants any more."""

logger = logging.getLogger(__name__)


Call = Callable[[], Awaitable[Any]]


class Opening:
    """A call under way that opens or starts something.

    Attributes:
        wanted: False once the host left.
        ended: set with the value or the failure.
    """

    def __init__(self) -> None:
        self.wanted = True
        self.ended = anyio.Event()
        self.value: Any = None
        self.failure: CommandFailure | None = None


class HandleKeeper:
    """Keeps the table, and lets go at the agents what leaves it.

    Args:
        agents: the registered agents.
        links: the way to them.
        background: where agents are told.
        table: the numbers.
    """

    def __init__(
        self, agents: AgentTable, links: Links, background: Background, table: HandleTable | None = None
    ) -> None:
        self._agents = agents
        self._links = links
        self._background = background
        self._table = (
            HandleTable(1000 + SystemRandom().randrange(FIRST_NUMBERS), time.monotonic)
            if table is None
            else table
        )
        self._grew = Changes()

    def __repr__(self) -> str:
        return f"<HandleKeeper {self._table!r}>"

    def find(self, caller: Caller, use: HandleUse, arguments: dict[str, Any]) -> Handle | None:
        """What the host means by its argument; None where that is nothing of its own."""
        return self._table.find(caller.owner, use.kind, arguments.get(use.takes))

    def agent_of(self, handle: Handle) -> Agent:
        """The agent that it is in.

        Raises:
            CommandFailure: that is gone, and so is the file or process.
        """
        agent = self._agents.now(handle.agent)
        if agent is None:
            self._table.remove(handle)
            raise CommandFailure(
                f"agent '{handle.agent.name}' of session '{handle.agent.session}' is gone, and {handle.kind} "
                f"{handle.number} with it"
            )
        return agent

    def check_room(self, caller: Caller, command: str) -> None:
        """Refuse a host connection one more file or process than it may have.

        Raises:
            CommandFailure: it has MAX_OWN.
        """
        use = HANDLES.get(command)
        if (
            use
            and use.gives is not None
            and not caller.outlived
            and self._table.count(caller.owner) >= MAX_OWN
        ):
            closing = " or ".join(command for command, _argument in CLOSING.values())
            raise CommandFailure(
                f"{MAX_OWN} files and processes are open on this connection; {closing} ends one"
            )

    def outward(self, handle: Handle, arguments: dict[str, Any]) -> dict[str, Any]:
        """A command's arguments with the agent's own number in place of the host's."""
        _command, argument = CLOSING[handle.kind]
        return {**arguments, argument: handle.theirs}

    @contextmanager
    def used(self, handle: Handle | None) -> Iterator[None]:
        """Keep what a call is about while the call lasts."""
        if handle is None:
            yield
            return
        handle.busy += 1
        # By an old time of use it would be due all the while, and `run` would look again and again.
        self._table.touch(handle)
        try:
            yield
        finally:
            handle.busy -= 1
            self._table.touch(handle)

    async def opened(self, agent: Agent, use: HandleUse, call: Call) -> Any:
        """Make a call that opens or starts something, to its end: where the host left, nobody would let that go.

        Raises:
            CommandFailure: as the call.
        """
        opening = Opening()
        self._background.start(partial(self._open, opening, agent, use, call))
        try:
            await opening.ended.wait()
        except anyio.get_cancelled_exc_class():
            opening.wanted = False
            self._let_go_unwanted(opening, agent, use)
            raise
        if opening.failure:
            raise opening.failure
        return opening.value

    async def _open(self, opening: Opening, agent: Agent, use: HandleUse, call: Call) -> None:
        try:
            opening.value = await call()
        except CommandFailure as failure:
            opening.failure = failure
            return
        finally:
            opening.ended.set()
        self._let_go_unwanted(opening, agent, use)

    def _let_go_unwanted(self, opening: Opening, agent: Agent, use: HandleUse) -> None:
        """The host may leave before the call ended, or after that and before it was told."""
        if not opening.wanted and opening.ended.is_set() and opening.failure is None:
            self._let_go([Handle(0, use.kind, None, agent, theirs_in(use, opening.value), 0.0)])

    def answered(self, caller: Caller, agent: Agent, command: str, handle: Handle | None, value: Any) -> Any:
        """Take note of what a successful result opened or ended; gives the result with the host's number in it."""
        use = HANDLES.get(command)
        if use is None:
            return value
        if handle and (use.ends or (use.ends_when and value.get(use.ends_when) is True)):
            self._table.remove(handle)
        if use.gives is None:
            return value
        number = self._enter(use.kind, caller, agent, theirs_in(use, value))
        return {**value, use.gives: number} if use.gives else number

    def host_left(self, caller: Caller) -> None:
        """A host connection ended, and with it what it opened, where that does not outlive it."""
        if not caller.outlived:
            self._let_go(self._table.take_all(caller.owner))

    async def run(self) -> None:
        """Let go what nobody uses, until cancelled."""
        while True:
            seconds = self._table.next_idle()
            with anyio.move_on_after(seconds):
                await self._grew.wait()
            self._let_go(self._table.take_idle())

    def _enter(self, kind: Kind, caller: Caller, agent: Agent, theirs: int) -> int:
        handle = self._table.add(kind, caller.owner, agent, theirs)
        self._grew.notify()
        if caller.outlived:
            self._let_go(self._table.take_excess(caller.owner, kind))
        return handle.number

    def _let_go(self, handles: list[Handle]) -> None:
        """At each agent one after another: it takes a few calls at a time, and has others to serve."""
        by_agent: dict[int, list[Handle]] = {}
        for handle in handles:
            by_agent.setdefault(id(handle.agent.presence), []).append(handle)
        for group in by_agent.values():
            self._background.start(partial(self._close_all, group))

    async def _close_all(self, handles: list[Handle]) -> None:
        for handle in handles:
            if agent := self._agents.now(handle.agent):
                await self._close(agent, handle)

    async def _close(self, agent: Agent, handle: Handle) -> None:
        command, argument = CLOSING[handle.kind]
        if command not in agent.commands:
            return
        try:
            await self._links.call(agent, command, {argument: handle.theirs}, port="", timeout=CLOSE_TIMEOUT)
        except CommandFailure as failure:
            logger.debug("%r was not let go: %s", handle, failure.desc)


def theirs_in(use: HandleUse, value: Any) -> int:
    """The agent's number in the result of a command that gives one."""
    number: int = value[use.gives] if use.gives else value
    return number
