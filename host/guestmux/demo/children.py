"""The demo's processes: each with a log, none left behind, whatever ends the demo."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from guestmux.demo.errors import DemoError

START_PATIENCE: Final = 15.0
"""Seconds until a process that says when it is ready has to; Python on a busy machine takes two."""

STOP_PATIENCE: Final = 3.0
"""Seconds from SIGTERM to SIGKILL."""

MAX_LINE: Final = 512
"""Bytes of the line by which a process says that it is ready."""

LOG_LINES: Final = 12
"""Lines of a log that an error shows."""

HELD: Final = ("sh", "-c", 'read -r _ && exec "$@" </dev/null', "held")
"""Waits for a line on its input before it becomes the program, under the same pid."""


class Child:
    """A process of the demo.

    Attributes:
        name: what it is, for the reader.
    """

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "".join(f"\n    {line}" for line in lines)

    async def ready(self) -> str:
        """Wait until it says on its output that it is ready; returns the line.

        Raises:
            DemoError: it ended, or did not in time.
        """
        if self._process.stdout is None:
            raise DemoError(f"{self.name} has no output to listen to")
        with (
            suppress(anyio.EndOfStream, anyio.IncompleteRead, TimeoutError),
            anyio.fail_after(START_PATIENCE),
        ):
            line = await BufferedByteReceiveStream(self._process.stdout).receive_until(b"\n", MAX_LINE)
            return line.decode(errors="replace")
        raise DemoError(f"{self.name} did not start:{self.last_words or ' it said nothing'}")

    async def release(self) -> None:
        """Let a process that was started held run."""
        if self._process.stdin is not None:
            await self._process.stdin.send(b"\n")

    async def gone(self) -> None:
        """Wait until it has ended."""
        await self._process.wait()

    async def kill(self) -> None:
        """Kill it at once, as a crash would end it, and wait until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it: politely, then not."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        with anyio.move_on_after(STOP_PATIENCE):
            await self._process.wait()
        await self.kill()
        await self._process.aclose()


class Children:
    """All processes of one demo."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Child] = []

    async def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], held: bool = False
    ) -> Child:
        """Start a process. It dies with the demo, even where that is killed.

        Args:
            name: what it is; its log is called so.
            command: what to run.
            environment: all its variables.
            held: it waits for `release` before it runs.

        Raises:
            DemoError: there is no such program.
        """
        words = [*(HELD if held else ()), *command]
        log = self._logs / f"{name}.log"
        try:
            with log.open("ab") as output:
                # A session of its own, so that Ctrl-C reaches the demo alone, which ends the rest in order.
                process = await anyio.open_process(
                    words, stdin=PIPE, stdout=PIPE, stderr=output, env=environment, start_new_session=True
                )
        except FileNotFoundError as error:
            raise DemoError(f"{error.filename} is not installed") from error
        child = Child(name, process, log)
        self._running.append(child)
        return child

    async def stop_all(self) -> None:
        """End all, the latest first."""
        while self._running:
            await self._running.pop().stop()


@asynccontextmanager
async def children(logs: Path) -> AsyncIterator[Children]:
    """Processes for as long as the block lasts."""
    running = Children(logs)
    try:
        yield running
    finally:
        with anyio.CancelScope(shield=True):
            await running.stop_all()


def dies_with_parent() -> list[str]:
    """Words before a command that make the kernel end it when its parent is gone; none without util-linux."""
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
