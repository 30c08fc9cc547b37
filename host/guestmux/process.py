"""A process in the guest."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteSendStream
from msgspec import Struct, UnsetType

from guestmux.calling import Calling
from guestmux.errors import ConnectionLost, GuestmuxError, RemoteError
from guestmux.output import Output

CLOSE_TIMEOUT = 2.0
"""Seconds to tell the guest that a process is not watched any more; a lost connection says the same."""

SIGNAL_BASE = 128
"""What a shell adds to a signal's number to make an exit status of it."""

CLOSED = "the process was closed"


class ExitStatus(Struct, frozen=True):
    """How a process ended.

    Args:
        code: its exit code; None where a signal ended it.
        signal: that signal's number.
        truncated: the guest kept only the first 16 MiB of an output; only where it was not read live.
    """

    code: int | None
    signal: int | None = None
    truncated: bool = False

    @property
    def status(self) -> int:
        """As a shell has it: the exit code, or 128 and the signal's number."""
        return SIGNAL_BASE + self.signal if self.signal is not None else self.code or 0


class Completed(Struct, frozen=True):
    """A process that ended, and all that it wrote."""

    exit: ExitStatus
    stdout: bytes
    stderr: bytes


class TerminalSize(Struct, frozen=True):
    """A terminal for a process in the guest.

    Args:
        rows: its height.
        columns: its width.
        type: TERM.
    """

    rows: int = 24
    columns: int = 80
    type: str = "xterm-256color"


class Process(ABC):
    """A process that was started in the guest. Made by `Guest.exec`; ends with `async with`, or with `aclose`.

    Args:
        guest: where it runs.
        pid: the guest's number for it.
        stdout: its output.
        stderr: its other output.

    Attributes:
        pid: the guest's number for it; eventd's own, no number of the guest's kernel.
        stdout: its output, the terminal's where it has one.
        stderr: its other output; ends at once where it has a terminal.
    """

    live: bool
    """Whether it is watched while it runs: it takes input, and its output comes as it is written."""

    def __init__(self, guest: Calling, pid: int, stdout: Output, stderr: Output) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._guest = guest
        self._exit: ExitStatus | None = None
        self._exited = anyio.Event()
        self._error: GuestmuxError | RemoteError | None = None
        self._follower = asyncio.create_task(self._follow_until_end(), name=f"guestmux process {pid}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid} {self._exit or 'running'}>"

    @property
    @abstractmethod
    def stdin(self) -> ByteSendStream:
        """Its input; `aclose` ends it. Ended from the start where the process is not live."""

    @property
    def exit(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        return self._exit

    async def wait(self) -> ExitStatus:
        """Wait until it ended. Its output must be read meanwhile, or it may wait as well; see `communicate`.

        Raises:
            GuestmuxError: the connection was lost; the process may still run.
            RemoteError: the guest knows it no more.
        """
        await self._exited.wait()
        if self._exit is None:
            assert self._error is not None
            raise self._error
        return self._exit

    async def communicate(self) -> Completed:
        """Read all output until it ended; raises what `wait` raises."""
        stdout, stderr = await asyncio.gather(self.stdout.read(), self.stderr.read())
        return Completed(await self.wait(), stdout, stderr)

    async def send_signal(self, signal: int | str) -> None:
        """Send a signal to it and to the processes of its group: a number, or a name as `TERM`."""
        await self._guest.call("guest-exec-signal", pid=self.pid, signal=signal)

    async def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        await self.send_signal("TERM")

    async def kill(self) -> None:
        """End it (SIGKILL)."""
        await self.send_signal("KILL")

    async def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""
        await self._guest.call("guest-exec-resize", pid=self.pid, rows=rows, columns=columns)

    async def aclose(self) -> None:
        """Watch it no more: its terminal is hung up, its pipes are closed. Does not wait until it ended."""
        self._follower.cancel()
        await asyncio.wait([self._follower])
        # A task that is cancelled before its first step runs no `finally`.
        if not self._exited.is_set():
            self._end(GuestmuxError(CLOSED))
        if not isinstance(self._error, ConnectionLost):
            await self._forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @abstractmethod
    async def _follow(self) -> ExitStatus:
        """Feed the outputs until the process ended."""

    async def _forget(self) -> None:  # noqa: B027  (not every guest has to be told)
        """Tell the guest that nobody watches."""

    async def _follow_until_end(self) -> None:
        error: GuestmuxError | RemoteError = GuestmuxError(CLOSED)
        try:
            self._exit = await self._follow()
        except (GuestmuxError, RemoteError) as failure:
            error = failure
        finally:
            # Nobody may wait for ever, whatever ended this.
            self._end(error)

    def _end(self, error: GuestmuxError | RemoteError) -> None:
        if self._exit is None:
            self._error = error
        self.stdout.end(self._error)
        self.stderr.end(self._error)
        self._exited.set()


def number(value: int | UnsetType) -> int | None:
    """A member of a reply that may be left out."""
    return None if isinstance(value, UnsetType) else value
