"""A process of guest-exec-live: read while it runs, fed while it runs, maybe on a terminal."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio
from msgspec import UNSET

from guestmux_protocol.guest.processes import MAX_LIVE_READ, GuestExecOutput, Terminal
from guestmux_session.errors import CommandError
from guestmux_session.pulse import Pulse
from guestmux_session.verbs.base64_text import encoded
from guestmux_session.verbs.child import Child
from guestmux_session.verbs.ends import Ends
from guestmux_session.verbs.input import Input
from guestmux_session.verbs.output import Output
from guestmux_session.verbs.spawn import Program, Started, Streams, spawn, spawn_on_terminal

Channel: TypeAlias = Literal["stdio", "stderr"]

MAX_HELD = MAX_LIVE_READ
"""Bytes of each stream that are held for a host that does not read; then the process has to wait."""


@dataclass(frozen=True)
class Connected:
    """A process, and our ends of what it is connected to; stderr is None on a terminal, which has one stream."""

    started: Started
    stdin: int
    stdout: int
    stderr: int | None


def spawn_piped(program: Program) -> Connected:
    """Start one with pipes; blocks for as long as that takes.

    Raises:
        CommandError: it cannot be started.
        OSError: there are no descriptors left.
    """
    with Ends() as ends:
        (stdin_end, stdin), (stdout, stdout_end) = ends.pipe(), ends.pipe()
        stderr, stderr_end = ends.pipe()
        started = spawn(program, Streams(stdin_end, stdout_end, stderr_end))
        ends.keep(stdin, stdout, stderr)
    return Connected(started, stdin, stdout, stderr)


def spawn_with_terminal(program: Program, terminal: Terminal) -> Connected:
    """Start one on a terminal; blocks for as long as that takes. Raises as `spawn_piped` does."""
    with Ends() as ends:
        master, slave = map(ends.add, os.openpty())
        # Reading and writing end at different times.
        other = ends.add(os.dup(master))
        termios.tcsetwinsize(slave, (terminal.rows, terminal.columns))
        started = spawn_on_terminal(program, slave)
        ends.keep(master, other)
    return Connected(started, other, master, None)


class LiveProcess:
    """A running or ended process.

    Args:
        connected: just started.

    Attributes:
        changed: beats when there is output, or the end of it, and when the process has ended or was closed.
        closed: it was hung up.
    """

    def __init__(self, connected: Connected) -> None:
        self.changed = Pulse()
        self.closed = False
        self._streams: set[Channel] = set()
        self._told = (False, False, False)
        self.child = Child(connected.started, self.changed.beat)
        self._input = Input(connected.stdin)
        self._out = self._output(connected.stdout)
        self._err = None if connected.stderr is None else self._output(connected.stderr)

    def __repr__(self) -> str:
        return f"<LiveProcess {self.child.pid} {'ENDED' if self.ended else 'RUNNING'}>"

    @property
    def ended(self) -> bool:
        """It ended; there may be output to be read."""
        return not self.child.running

    async def read(self, most: int, linger: float) -> GuestExecOutput:
        """Give what it wrote.

        Args:
            most: bytes of each stream.
            linger: seconds to wait for something new: output, the end of it, the process's end.

        Raises:
            CommandError: a stream has taken its output, now or while this waited.
        """
        self._check_free(self._streams)
        with anyio.move_on_after(linger):
            while not self._news():
                await self.changed.wait()
                self._check_free(self._streams)
        out = self._out.take(most)
        err = b"" if self._err is None else self._err.take(most)
        self._told = self._state()
        return GuestExecOutput(
            out_data=encoded(out),
            err_data=encoded(err),
            out_eof=self._told[0],
            err_eof=self._told[1],
            exited=self._told[2],
            exitcode=UNSET if self.child.exitcode is None else self.child.exitcode,
            signal=UNSET if self.child.signal is None else self.child.signal,
        )

    async def write(self, data: bytes, *, end: bool) -> int:
        """Give it input, as `Input.write` says. Raises CommandError."""
        return await self._input.write(data, end=end)

    async def feed(self, data: bytes) -> None:
        """Give it all of this as input, however long that takes. Raises CommandError."""
        while data:
            data = data[await self._input.write(data, end=False) :]

    def check_input_free(self) -> None:
        """Refuse input that does not come by a stream while there is one. Raises CommandError."""
        self._check_free(self._streams & {"stdio"})

    @contextmanager
    def attached(self, channel: Channel) -> Iterator[Output]:
        """Be the one who takes its output for the block.

        Raises:
            CommandError: somebody else is, or there is no such output.
        """
        output = self._out if channel == "stdio" else self._err
        if output is None:
            raise CommandError(
                f"PID {self.child.pid} has a terminal, which shows its stderr as well: attach stdio"
            )
        self._check_free(self._streams & {channel})
        self._streams.add(channel)
        # Who lingers for output is to look again.
        self.changed.beat()
        try:
            yield output
        finally:
            self._streams.remove(channel)

    async def until_ended(self) -> None:
        """Wait until it has ended, or was closed."""
        while not (self.ended or self.closed):
            await self.changed.wait()

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size, which it is told by SIGWINCH.

        Raises:
            CommandError: it has none, or none any more.
        """
        if self._err is not None:
            raise CommandError(f"PID {self.child.pid} has no terminal")
        if self._out.ended:
            raise CommandError(f"PID {self.child.pid} has left its terminal")
        termios.tcsetwinsize(self._out.descriptor, (rows, columns))

    def close(self) -> None:
        """Hang up: a terminal's programs get SIGHUP, others the end of input and SIGPIPE when they write."""
        self.closed = True
        self._input.close()
        self._out.close()
        if self._err is not None:
            self._err.close()
        self.changed.beat()

    def _check_free(self, streams: set[Channel]) -> None:
        if streams:
            raise CommandError(
                f"the {min(streams)} of PID {self.child.pid} is a stream's (guest-exec-attach)"
            )

    def _output(self, descriptor: int) -> Output:
        return Output(descriptor, MAX_HELD, drop=False, changed=self.changed.beat)

    def _state(self) -> tuple[bool, bool, bool]:
        """Whether stdout, stderr and the process are over."""
        out = self._out.ended and not len(self._out)
        err = self._err is None or (self._err.ended and not len(self._err))
        return out, err, self.ended

    def _news(self) -> bool:
        held = len(self._out) + (0 if self._err is None else len(self._err))
        state = self._state()
        return bool(held) or state != self._told or all(state)
