"""Our stdin, stdout, stderr and signals, joined to a process in the guest."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from guestmux.cli.descriptors import read_some, write_all
from guestmux.cli.local_terminal import EscapeKeys, terminal_size
from guestmux.cli.output import ReaderGone, warn
from guestmux.cli.signals import heeded
from guestmux.errors import CallTimeout, GuestmuxError, RemoteError
from guestmux.output import Output
from guestmux.process import SIGNAL_BASE, Process

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that the process is to get in our place."""

INSIST_SECONDS = 1.0
"""Seconds within which a second signal means that the first did not help: then we end by ourselves."""

STDIN, STDOUT, STDERR = 0, 1, 2


class GivenUp(Exception):
    """The user does not wait for the process any longer.

    Args:
        status: the exit status.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Attached:
    """Joins this program to a process until that ends.

    Args:
        process: in the guest.
        takes_input: whether it gets our stdin; else its input ends at once.
        terminal: whether it has a terminal, which then follows the size of ours.
    """

    def __init__(self, process: Process, *, takes_input: bool, terminal: bool) -> None:
        self._process = process
        self._takes_input = takes_input
        self._terminal = terminal
        self._escape = EscapeKeys(anyio.current_time)
        self._failure: Exception | None = None
        self._signalled = float("-inf")

    async def run(self) -> int:
        """Give the exit status.

        Raises:
            GivenUp: the user insisted.
            ReaderGone: nobody reads our output.
            GuestmuxError, RemoteError: the process is out of reach.
        """
        status = 0
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._guarded, beside, self._forward_input)
            if forwarded := heeded(FORWARDED):
                beside.start_soon(self._forward_signals, beside, forwarded)
            async with anyio.create_task_group() as outputs:
                outputs.start_soon(self._guarded, beside, self._show, self._process.stdout, STDOUT)
                outputs.start_soon(self._guarded, beside, self._show, self._process.stderr, STDERR)
            status = await self._status(beside)
            beside.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return status

    async def _status(self, tasks: TaskGroup) -> int:
        try:
            ended = await self._process.wait()
        except (GuestmuxError, RemoteError) as error:
            self._fail(tasks, error)
            return 0
        if ended.truncated:
            warn("the guest's agent kept only the beginning of the output")
        return ended.status

    async def _guarded(
        self, tasks: TaskGroup, work: Callable[..., Awaitable[None]], *arguments: object
    ) -> None:
        try:
            await work(*arguments)
        except BrokenPipeError:
            self._fail(tasks, ReaderGone())
        except (GuestmuxError, RemoteError, GivenUp) as error:
            self._fail(tasks, error)

    def _fail(self, tasks: TaskGroup, error: Exception) -> None:
        self._failure = self._failure or error
        tasks.cancel_scope.cancel()

    async def _show(self, output: Output, descriptor: int) -> None:
        try:
            async for piece in output:
                await write_all(descriptor, piece)
        except BrokenPipeError:
            raise
        except OSError as error:
            # A terminal that is gone says EIO, a disk that is full ENOSPC.
            raise BrokenPipeError(error.strerror) from error

    async def _forward_input(self) -> None:
        if not self._process.live:
            return
        if self._takes_input:
            await self._pass_keys(STDIN)
        try:
            await self._process.stdin.aclose()
        except RemoteError:
            return

    async def _pass_keys(self, descriptor: int) -> None:
        while data := await _read(descriptor):
            if self._terminal and os.isatty(descriptor) and self._escape.feed(data):
                raise GivenUp(SIGNAL_BASE + signal.SIGHUP)
            try:
                await self._process.stdin.send(data)
            except RemoteError:
                # It reads no more; what it writes still matters.
                return

    async def _forward_signals(self, tasks: TaskGroup, forwarded: list[signal.Signals]) -> None:
        with anyio.open_signal_receiver(*forwarded, signal.SIGWINCH) as signals:
            async for number in signals:
                if number == signal.SIGWINCH:
                    tasks.start_soon(self._resize)
                else:
                    self._insist(tasks, number)
                    tasks.start_soon(self._send, number)

    def _insist(self, tasks: TaskGroup, number: signal.Signals) -> None:
        now = anyio.current_time()
        if now - self._signalled < INSIST_SECONDS:
            self._fail(tasks, GivenUp(SIGNAL_BASE + number))
        self._signalled = now

    async def _send(self, number: signal.Signals) -> None:
        try:
            await self._process.send_signal(number.name)
        except RemoteError as error:
            if self._process.exit is None:
                warn(f"{number.name} was not delivered: {error.desc}; a second one within a second gives up")
        except GuestmuxError as error:
            warn(f"{number.name} was not delivered: {error}")

    async def _resize(self) -> None:
        if not self._terminal:
            return
        size = terminal_size(STDIN)
        try:
            await self._process.resize(size.rows, size.columns)
        except (RemoteError, CallTimeout):
            # It has just ended; and a size that is not the latest is no reason to end.
            return


async def _read(descriptor: int) -> bytes:
    try:
        return await read_some(descriptor)
    except OSError:
        # A terminal that is gone says EIO.
        return b""
