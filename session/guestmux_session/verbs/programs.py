"""Programs of the guest that a verb has to run: found where administrators have them, bounded in time and output."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from typing import Final

from guestmux_session.errors import CommandError

ADMIN_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the programs are looked for. Not the environment's PATH: this process is root."""

PROGRAM_SECONDS: Final = 60.0
"""Seconds that a program has. A suspend by pm-utils takes ten; nobody waits for longer than a minute."""

MAX_OUTPUT: Final = 4096
"""Bytes of a program's output that are kept for its error's text; a reply has room for no more."""


class Programs:
    """Runs programs by name.

    Args:
        path: the folders to look in, as in PATH.
        seconds: how long one may run.
    """

    def __init__(self, path: str = ADMIN_PATH, seconds: float = PROGRAM_SECONDS) -> None:
        self._path = path
        self._seconds = seconds

    def find(self, name: str) -> str | None:
        """Where a program is; None where there is none."""
        return shutil.which(name, path=self._path)

    def run(self, command: list[str], action: str, given: bytes = b"") -> None:
        """Run a program to its end.

        Args:
            command: its name, which may be a path, and its arguments.
            action: what it is to do, for the error's text.
            given: its standard input.

        Raises:
            CommandError: it failed; with the texts of qemu-ga's ga_run_command.
        """
        found = self.find(command[0])
        if found is None:
            raise CommandError(f"child process has failed to {action}: {command[0]} was not found")
        run_program([found, *command[1:]], action, given=given, seconds=self._seconds)

    def status(self, command: list[str]) -> int | None:
        """A program's exit status, which may be a signal's number with a minus; None where there is no such program.

        Raises:
            CommandError: it cannot be started, or takes too long.
        """
        found = self.find(command[0])
        if found is None:
            return None
        return _finished([found, *command[1:]], f"run {command[0]}", b"", self._seconds)[0]


def run_program(command: list[str], action: str, *, seconds: float, given: bytes = b"") -> None:
    """Run a program to its end, by its path; see `Programs.run`.

    Raises:
        CommandError: it failed; with the texts of qemu-ga's ga_run_command.
    """
    status, output = _finished(command, action, given, seconds)
    text = output.decode(errors="replace").strip()
    if status < 0:
        raise CommandError("child process has terminated abnormally" + (f": {text}" if text else ""))
    if status > 0:
        raise CommandError(f"child process has failed to {action}: {text or f'exit status {status}'}")


def _finished(command: list[str], action: str, given: bytes, seconds: float) -> tuple[int, bytes]:
    try:
        process = _started(command, given)
    except OSError as error:
        raise CommandError(f"failed to create child process: {error.strerror}") from error
    assert process.stdout is not None
    with process.stdout:
        try:
            output = _output_until_exit(process.pid, process.stdout.fileno(), time.monotonic() + seconds)
        except TimeoutError as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise CommandError(
                f"child process has failed to {action}: it was ended after {seconds:g} s"
            ) from error
        finally:
            process.wait()
    return process.returncode, output


def _started(command: list[str], given: bytes) -> subprocess.Popen[bytes]:
    """Its input is a file in memory, so that neither side waits for the other, however long it is."""
    # Nothing of it is on a disk: it may be a password.
    with open(os.memfd_create("given"), "w+b") as stdin:  # noqa: PTH123 - a descriptor, not a path
        stdin.write(given)
        stdin.seek(0)
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )


def _output_until_exit(pid: int, stdout: int, deadline: float) -> bytes:
    """The beginning of what a process writes until it exits, whoever else holds the pipe then.

    Raises:
        TimeoutError: it did not exit in time.
    """
    os.set_blocking(stdout, False)
    process = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(stdout, select.POLLIN)
        output, exited = b"", False
        while not exited:
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if not ready:
                raise TimeoutError
            exited = process in ready
            if stdout in ready:
                output = (output + _read(stdout, poll))[:MAX_OUTPUT]
        return output
    finally:
        os.close(process)


def _read(stdout: int, poll: select.poll) -> bytes:
    data = os.read(stdout, 65536)
    if not data:
        # Closed by the program, which runs on: it would be ready for ever.
        poll.unregister(stdout)
    return data
