"""A process of guest-exec: its output is kept until somebody asks how it ended."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.processes import GuestExecStatus
from guestmux_session.verbs.base64_text import encoded
from guestmux_session.verbs.child import Child
from guestmux_session.verbs.ends import Ends
from guestmux_session.verbs.output import Output
from guestmux_session.verbs.spawn import Program, Started, Streams, spawn

MAX_CAPTURED = 16 * 1024 * 1024
"""Bytes that are kept of a stream, as in qemu-ga; what follows is read and dropped."""

Mode = Literal["none", "stdout", "stderr", "separated", "merged"]

_STDOUT_MODES, _STDERR_MODES = ("stdout", "separated", "merged"), ("stderr", "separated")


@dataclass(frozen=True)
class Spawned:
    """A process, and the reading ends of the pipes to it; None where its output goes nowhere."""

    started: Started
    stdout: int | None
    stderr: int | None


def spawn_recorded(program: Program, given: bytes, mode: Mode) -> Spawned:
    """Start one; blocks for as long as that takes.

    Args:
        program: what.
        given: its stdin.
        mode: what to keep of its output.

    Raises:
        CommandError: it cannot be started.
        OSError: there are no descriptors left.
    """
    with Ends() as ends:
        stdout, stdout_end = _pipe(ends, mode in _STDOUT_MODES)
        stderr, stderr_end = _pipe(ends, mode in _STDERR_MODES)
        if mode == "merged":
            stderr_end = subprocess.STDOUT
        started = spawn(program, Streams(_file_of(ends, given), stdout_end, stderr_end))
        ends.keep(stdout, stderr)
    return Spawned(started, stdout, stderr)


def _pipe(ends: Ends, wanted: bool) -> tuple[int | None, int]:
    return ends.pipe() if wanted else (None, subprocess.DEVNULL)


def _file_of(ends: Ends, given: bytes) -> int:
    """Input as a file in memory: nobody has to feed it to the process, however slowly that reads."""
    if not given:
        return subprocess.DEVNULL
    descriptor = ends.add(os.memfd_create("input-data"))
    os.write(descriptor, given)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class RecordedProcess:
    """A running or ended process.

    Args:
        spawned: just started.
    """

    def __init__(self, spawned: Spawned) -> None:
        self.child = Child(spawned.started, _unheard)
        self._out, self._err = _recorded(spawned.stdout), _recorded(spawned.stderr)

    def __repr__(self) -> str:
        return f"<RecordedProcess {self.child.pid} {'ENDED' if self.ended else 'RUNNING'}>"

    @property
    def ended(self) -> bool:
        """It ended, and so did all who had its output open."""
        return not self.child.running and all(output.ended for output in self._outputs)

    def status(self) -> GuestExecStatus:
        """How it stands; once it has ended, what it wrote, for the one time."""
        if not self.ended:
            return GuestExecStatus(exited=False)
        out, out_truncated = _text(self._out)
        err, err_truncated = _text(self._err)
        return GuestExecStatus(
            exited=True,
            exitcode=UNSET if self.child.exitcode is None else self.child.exitcode,
            signal=UNSET if self.child.signal is None else self.child.signal,
            out_data=out,
            err_data=err,
            out_truncated=out_truncated,
            err_truncated=err_truncated,
        )

    def discard(self) -> None:
        """Nobody asks for its output any more."""
        for output in self._outputs:
            output.discard()

    def close(self) -> None:
        """The agent is stopping: the process goes on without it."""
        self.child.let_go()
        for output in self._outputs:
            output.close()

    @property
    def _outputs(self) -> list[Output]:
        return [output for output in (self._out, self._err) if output is not None]


def _recorded(descriptor: int | None) -> Output | None:
    if descriptor is None:
        return None
    return Output(descriptor, MAX_CAPTURED, drop=True, changed=_unheard)


def _unheard() -> None:
    """Hosts ask again; nobody waits."""


def _text(output: Output | None) -> tuple[str | UnsetType, bool | UnsetType]:
    """What was kept, as base64, and whether something was dropped; neither where there was nothing, as in qemu-ga."""
    if output is None or not len(output):
        return UNSET, UNSET
    return encoded(output.take(len(output))), output.truncated
