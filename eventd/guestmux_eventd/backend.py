"""The qemu-ga backend: a stock qemu-ga on a private socket serves what nobody native does."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import anyio
import msgspec

from guestmux_eventd.agent_links import Links
from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.backend_link import BackendLink, LinkLost
from guestmux_eventd.changes import Changes
from guestmux_eventd.identity import BACKEND, Identity
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.addresses import UnixConnect
from guestmux_protocol.commands import NATIVE
from guestmux_protocol.messages import COMMAND_NOT_FOUND, ErrorReply
from guestmux_protocol.registry import MAX_NAME_LENGTH, Command
from guestmux_protocol.schema import ANY, ANYTHING
from guestmux_transport.pipe import Pipe
from guestmux_transport.port_unix_connect import UnixConnectPort

MAX_QUEUED = 16
"""Commands that wait for qemu-ga, which runs one at a time; one more is refused, as it would wait for long."""

MAX_DESC = 1000
"""Characters of qemu-ga's own error text that go on to the host."""

MAX_COMMANDS = 1024
"""Commands that qemu-ga may have; it has 44."""

PATIENCE = 5.0
"""Seconds that qemu-ga may take to find its place in the stream before the log says that it does not."""

MAX_VERSION = 128
"""Characters of its version that are shown."""

DOC = "Served by the stock qemu-ga."

UNSURE = "the command may or may not have run"

logger = logging.getLogger(__name__)


class Supported(msgspec.Struct, frozen=True, rename="kebab"):
    """A command in qemu-ga's guest-info."""

    name: str
    success_response: bool = True


class _Info(msgspec.Struct, frozen=True):
    version: str
    supported_commands: list[Supported]


class QemuGaBackend:
    """Keeps connected to qemu-ga and gives it commands, one after another.

    Args:
        address: the socket that it listens at; it must let in nobody but us.
        agents: where it is entered as an agent of BACKEND. There it stays when it left, as it is to come back.
        changes: notified when it is entered.
    """

    def __init__(self, address: UnixConnect, agents: AgentTable, changes: Changes) -> None:
        self._address = address
        self._agents = agents
        self._changes = changes
        self._agent: Agent | None = None
        self._turn = anyio.Lock()
        self._queued = 0
        self._link: BackendLink | None = None
        self._learned: BackendLink | None = None

    def __repr__(self) -> str:
        return f"<QemuGaBackend {self._address} {self._link!r} {self._agent!r}>"

    async def run(self) -> None:
        """Stay connected until cancelled; each reason why not is logged once."""
        port = UnixConnectPort(self._address)
        try:
            async for pipe in port.connections():
                await self._use(pipe)
        finally:
            port.close()

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Run a command in qemu-ga.

        Args:
            agent: its entry.
            command: one that it serves.
            arguments: its arguments; qemu-ga checks them itself.
            port: the host's; it is not told.
            timeout: seconds until the call is given up. qemu-ga cannot be told to stop.

        Raises:
            CommandFailure: qemu-ga refused, left, was too slow, or is not there.
        """
        del port
        answered = agent.commands[command].success_response
        if self._queued >= MAX_QUEUED:
            raise CommandFailure(f"{MAX_QUEUED} commands wait for qemu-ga; try again when some have ended")
        self._queued += 1
        sent = False
        try:
            with anyio.fail_after(timeout):
                async with self._turn:
                    link = await self._ready(agent)
                    sent = True
                    answer = await link.ask(command, arguments, answered=answered)
        except TimeoutError as error:
            raise CommandFailure(self._too_slow(timeout, sent=sent)) from error
        except LinkLost as error:
            if sent and not answered:
                return {}  # a shutdown takes qemu-ga with it
            raise CommandFailure(f"{error}; {UNSURE if sent else 'the command was not run'}") from error
        finally:
            self._queued -= 1
        return _result(answer)

    async def _ready(self, agent: Agent) -> BackendLink:
        link = self._link
        if link is None:
            raise CommandFailure(
                f"qemu-ga is not there ({self._address}); it is being reconnected: try again"
            )
        await link.ready()
        if link is not self._learned or agent is not self._agent:
            # Files and processes of the one before would be others of this one.
            raise CommandFailure("qemu-ga was restarted; the command was not run: try again")
        return link

    def _too_slow(self, timeout: float, *, sent: bool) -> str:
        if sent:
            return f"qemu-ga did not answer within {timeout:g} s; {UNSURE}"
        busy_with = self._link.busy_with if self._link else ""
        why = f"is busy with {busy_with}" if busy_with else "does not answer"
        return f"qemu-ga {why}; the command was given up after {timeout:g} s and not run"

    async def _use(self, pipe: Pipe) -> None:
        self._link = link = BackendLink(pipe)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._learn, link)
                await link.run()
                tasks.cancel_scope.cancel()
        finally:
            self._link = self._learned = None
            link.close()
            logger.warning("%s: qemu-ga left", self._address)

    async def _learn(self, link: BackendLink) -> None:
        """Find out what this qemu-ga serves."""
        try:
            async with self._turn:
                await self._patiently(link)
                answer = await link.ask("guest-info", {})
        except LinkLost:
            return  # said where the connection is kept
        try:
            info = msgspec.convert(_result(answer), _Info)
        except (CommandFailure, msgspec.ValidationError) as error:
            logger.warning("%s: qemu-ga does not say what it serves: %s", self._address, error)
            return
        self._enter(info)
        self._learned = link
        logger.info("%s: qemu-ga %s is there", self._address, info.version)

    def _enter(self, info: _Info) -> None:
        """As another presence than before: what was open in a qemu-ga that left is gone."""
        if self._agent is not None:
            self._agents.remove(self._agent, "left")
        self._agent = Agent(
            sender="",
            path="/",
            name=BACKEND,
            version=info.version[:MAX_VERSION],
            session=BACKEND,
            identity=Identity(0, 0, "root"),
            bucket=TokenBucket(1, 1, lambda: 0.0),
            commands=_commands(info.supported_commands[:MAX_COMMANDS]),
        )
        self._agents.add(self._agent)
        self._changes.notify()

    async def _patiently(self, link: BackendLink) -> None:
        with anyio.move_on_after(PATIENCE):
            await link.ready()
            return
        logger.warning("%s: qemu-ga does not answer; does it serve another client, or hang?", self._address)
        await link.ready()


def _commands(supported: Iterable[Supported]) -> dict[str, Command]:
    """With any arguments and results: which there are depends on its version, and it checks them itself."""
    return {
        command.name: Command(command.name, DOC, ANYTHING, ANY, success_response=command.success_response)
        for command in supported
        if command.name not in NATIVE and len(command.name) <= MAX_NAME_LENGTH
    }


def _result(answer: Any) -> Any:
    if isinstance(answer, ErrorReply):
        known = answer.error_class == COMMAND_NOT_FOUND
        raise CommandFailure(answer.desc[:MAX_DESC], *([COMMAND_NOT_FOUND] if known else []))
    return answer.value


class LinksWithBackend:
    """The way to all agents, the stock qemu-ga among them.

    Args:
        links: the way to the others.
        backend: the qemu-ga; None for none.
    """

    def __init__(self, links: Links, backend: QemuGaBackend | None) -> None:
        self._links = links
        self._backend = backend

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """As `Links.call`."""
        links = self._backend if self._backend and agent.session == BACKEND else self._links
        return await links.call(agent, command, arguments, port=port, timeout=timeout)
