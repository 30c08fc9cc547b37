"""The qemu-ga backend: a stock qemu-ga on a private socket serves what nobody native does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec

from guestmux_eventd.backend_link import BackendLink, LinkLost
from guestmux_eventd.changes import Changes
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.addresses import UnixConnect
from guestmux_protocol.messages import COMMAND_NOT_FOUND, ErrorReply
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

UNSURE = "the command may or may not have run"

logger = logging.getLogger(__name__)


class Supported(msgspec.Struct, frozen=True, rename="kebab"):
    """A command in qemu-ga's guest-info."""

    name: str
    enabled: bool = True
    success_response: bool = True


class _Info(msgspec.Struct, frozen=True):
    version: str
    supported_commands: list[Supported]


class QemuGaBackend:
    """Keeps connected to qemu-ga and gives it commands, one after another.

    Args:
        address: the socket that it listens at; it must let in nobody but us.
        changed: called when its list of commands is another.

    Attributes:
        commands: what it serves; after it left, what it served last.
    """

    def __init__(self, address: UnixConnect, changed: Callable[[], object] = lambda: None) -> None:
        self._address = address
        self._tell_changed = changed
        self._turn = anyio.Lock()
        self._queued = 0
        self._link: BackendLink | None = None
        self._linked = Changes()
        self.commands: Mapping[str, Supported] = {}

    def __repr__(self) -> str:
        return f"<QemuGaBackend {self._address} {self._link!r} {len(self.commands)} commands>"

    async def run(self) -> None:
        """Stay connected until cancelled; each reason why not is logged once."""
        port = UnixConnectPort(self._address)
        try:
            async for pipe in port.connections():
                await self._use(pipe)
        finally:
            port.close()

    async def call(self, command: str, arguments: dict[str, Any], timeout: float) -> Any:
        """Run a command in qemu-ga.

        Args:
            command: one of `commands`.
            arguments: its arguments; qemu-ga checks them itself.
            timeout: seconds until the call is given up. qemu-ga cannot be told to stop.

        Raises:
            CommandFailure: qemu-ga refused, left, was too slow, or is not there.
        """
        if self._queued >= MAX_QUEUED:
            raise CommandFailure(f"{MAX_QUEUED} commands wait for qemu-ga; try again when some have ended")
        self._queued += 1
        sent = False
        try:
            with anyio.fail_after(timeout):
                async with self._turn:
                    link = await self._ready()
                    sent = True
                    answer = await link.ask(command, arguments, answered=self._answers(command))
        except TimeoutError as error:
            raise CommandFailure(self._too_slow(timeout, sent=sent)) from error
        except LinkLost as error:
            if sent and not self._answers(command):
                return {}  # a shutdown takes qemu-ga with it
            raise CommandFailure(f"{error}; {UNSURE if sent else 'the command was not run'}") from error
        finally:
            self._queued -= 1
        return _result(answer)

    def _answers(self, command: str) -> bool:
        known = self.commands.get(command)
        return known is None or known.success_response

    async def _ready(self) -> BackendLink:
        link = self._link
        if link is None:
            raise CommandFailure(
                f"qemu-ga is not there ({self._address}); it is being reconnected: try again"
            )
        await link.ready()
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
            self._link = None
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
        self.commands = {command.name: command for command in info.supported_commands[:MAX_COMMANDS]}
        logger.info("%s: qemu-ga %s with %d commands", self._address, info.version, len(self.commands))
        self._tell_changed()

    async def _patiently(self, link: BackendLink) -> None:
        with anyio.move_on_after(PATIENCE):
            await link.ready()
            return
        logger.warning("%s: qemu-ga does not answer; does it serve another client, or hang?", self._address)
        await link.ready()


def _result(answer: Any) -> Any:
    if isinstance(answer, ErrorReply):
        known = answer.error_class == COMMAND_NOT_FOUND
        raise CommandFailure(answer.desc[:MAX_DESC], *([COMMAND_NOT_FOUND] if known else []))
    return answer.value
