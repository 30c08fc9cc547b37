"""The agent that is checked, as a process of its own on the private bus."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import Process

from guestmux_protocol.errors import GuestmuxError

LEAVE_SECONDS = 5.0
"""Time to end after SIGTERM; systemd would wait longer, a user at logout not."""

KEPT_LINES = 5
"""Of what it says, for who looks why it failed."""

SHOWN_LINES = 3
"""Of these in the one line of a finding."""

MAX_LINE = 300


class NoProgram(GuestmuxError):
    """The command cannot be run."""


class AgentProgram:
    """A process.

    Attributes:
        said: the last lines of its output.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.said: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.returncode

    @property
    def last_words(self) -> str:
        """How it ended, and what it said last."""
        ended = "it runs" if self.status is None else f"it ended with status {self.status}"
        # An interpreter's last line is not always the one that tells why.
        return f"{ended}; its last words: {' | '.join([*self.said][-SHOWN_LINES:])}" if self.said else ended

    async def read(self) -> None:
        """Take in what it says, until it says no more."""
        if self._process.stdout is None:
            return
        async for piece in self._process.stdout:
            lines = piece.decode(errors="replace").splitlines()
            self.said.extend(_printable(line) for line in lines if line.strip())

    async def until_ended(self) -> None:
        """Wait until it ends."""
        await self._process.wait()

    async def stop(self) -> bool:
        """Ask it to end, and all that it started, as systemd does; whether it did by itself."""
        self._signal(signal.SIGTERM)
        with anyio.move_on_after(LEAVE_SECONDS):
            await self._process.wait()
        return self.status is not None

    async def kill(self) -> None:
        """End it and all that it started, whatever they do."""
        self._signal(signal.SIGKILL)
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


@asynccontextmanager
async def agent_program(command: Sequence[str], address: str) -> AsyncIterator[AgentProgram]:
    """Run a command for as long as the block lasts, with the bus at `address` as its system bus.

    Raises:
        NoProgram: it cannot be started.
    """
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address}
    # Of who started the checker, systemd maybe: it is not the agent's to notify.
    environment.pop("NOTIFY_SOCKET", None)
    try:
        process = await anyio.open_process(
            [*command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise NoProgram(f"{command[0]} cannot be started: {error.strerror}") from error
    program = AgentProgram(process)
    async with process, anyio.create_task_group() as group:
        group.start_soon(program.read)
        try:
            yield program
        finally:
            with anyio.CancelScope(shield=True):
                await program.kill()
            group.cancel_scope.cancel()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_LINE])
