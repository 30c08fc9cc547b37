"""A process in the guest, for scripts without async."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteSendStream
from anyio.from_thread import BlockingPortal

from guestmux import output as asynchronous_output
from guestmux import process as asynchronous
from guestmux.process import Completed, ExitStatus


class Output:
    """One output of a process; iterate over it for pieces as they come.

    Args:
        portal: runs what waits.
        output: the output.
    """

    def __init__(self, portal: BlockingPortal, output: asynchronous_output.Output) -> None:
        self._portal = portal
        self._output = output

    def read(self) -> bytes:
        """All that follows."""
        return self._portal.call(self._output.read)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return self._portal.call(self._output.receive)
        except anyio.EndOfStream:
            raise StopIteration from None


class Input:
    """The input of a process.

    Args:
        portal: runs what waits.
        stream: the input.
    """

    def __init__(self, portal: BlockingPortal, stream: ByteSendStream) -> None:
        self._portal = portal
        self._stream = stream

    def write(self, data: bytes) -> None:
        """Write all of it; waits while the process takes nothing."""
        self._portal.call(self._stream.send, data)

    def close(self) -> None:
        """Say that nothing follows."""
        self._portal.call(self._stream.aclose)


class Process:
    """A process that was started in the guest; see `guestmux.Process`. Ends with `with`, or with `close`.

    Args:
        portal: runs what waits.
        process: the process.
    """

    def __init__(self, portal: BlockingPortal, process: asynchronous.Process) -> None:
        self._portal = portal
        self._process = process
        self.stdin = Input(portal, process.stdin)
        self.stdout = Output(portal, process.stdout)
        self.stderr = Output(portal, process.stderr)

    def __repr__(self) -> str:
        return f"<blocking {self._process!r}>"

    @property
    def pid(self) -> int:
        """The guest's number for it."""
        return self._process.pid

    @property
    def live(self) -> bool:
        """Whether it is watched while it runs."""
        return self._process.live

    @property
    def exit(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        return self._process.exit

    def wait(self) -> ExitStatus:
        """Wait until it ended; see `guestmux.Process.wait`."""
        return self._portal.call(self._process.wait)

    def communicate(self) -> Completed:
        """Read all output until it ended."""
        return self._portal.call(self._process.communicate)

    def send_signal(self, signal: int | str) -> None:
        """Send a signal to it and to the processes of its group: a number, or a name as `TERM`."""
        self._portal.call(self._process.send_signal, signal)

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._portal.call(self._process.terminate)

    def kill(self) -> None:
        """End it (SIGKILL)."""
        self._portal.call(self._process.kill)

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""
        self._portal.call(self._process.resize, rows, columns)

    def close(self) -> None:
        """Watch it no more: its terminal is hung up, its pipes are closed."""
        self._portal.call(self._process.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
