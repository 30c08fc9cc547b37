"""Starts a program: finds it, gives it a session and a process group of its own, maybe a terminal to control."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from guestmux_protocol.errors import MAX_SHOWN
from guestmux_session.errors import CommandError

_SHELL = "/bin/sh"
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

# What has to happen in the new process before the program, is done by programs: the fast way to start one runs no code
# of ours there, and a fork of the whole agent, with its threads, is no way.
_TAKE_TERMINAL = ("setsid", "--ctty")
_HOLD = (_SHELL, "-c", 'kill -STOP $$; exec "$@"', "sh")


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
        name: a path, or a name to be found in PATH.
        arguments: those after the name.
        environment: all of it.
        directory: where it starts; None for where the agent is.
        held: it does nothing before it gets SIGCONT, but is there.
    """

    name: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str | None = None
    held: bool = False


@dataclass(frozen=True)
class Streams:
    """The descriptors that the program gets; negative ones are subprocess's DEVNULL and STDOUT."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(frozen=True)
class Started:
    """A new process.

    Attributes:
        process: not waited for yet.
        pidfd: is readable when it has ended.
    """

    process: subprocess.Popen[bytes]
    pidfd: int


def variables(given: Iterable[str]) -> dict[str, str]:
    """`NAME=value` by name. What has no `=` is no variable to anybody, and left out."""
    pairs = (entry.partition("=") for entry in given)
    return {name: value for name, equals, value in pairs if equals}


def spawn(program: Program, streams: Streams) -> Started:
    """Start a program in a session of its own. It may take as long as the disk does.

    Raises:
        CommandError: it cannot be started; in qemu-ga's words.
    """
    with _explained(program):
        path = _found(program)
        if program.held:
            return _start_held(program, path, streams)
        try:
            return _start(program, [program.name, *program.arguments], path, streams)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without `#!`, which GLib and the shells give to sh.
            return _start(program, [_SHELL, path, *program.arguments], _SHELL, streams)


def spawn_on_terminal(program: Program, slave: int) -> Started:
    """Start a program with a terminal for its controlling one.

    Args:
        program: what.
        slave: the terminal's end for programs.

    Raises:
        CommandError: it cannot be started.
    """
    streams = Streams(slave, slave, slave)
    with _explained(program):
        path = _found(program)
        if program.held:
            return _start_held(program, path, streams, terminal=True)
        return _start_by(_TAKE_TERMINAL, program, path, streams, own_session=False)


def _start_held(program: Program, path: str, streams: Streams, *, terminal: bool = False) -> Started:
    """Start it and wait until it has stopped itself."""
    tools = (*_TAKE_TERMINAL, *_HOLD) if terminal else _HOLD
    started = _start_by(tools, program, path, streams, own_session=not terminal)
    os.waitid(os.P_PID, started.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return started


def _start_by(
    tools: Sequence[str], program: Program, path: str, streams: Streams, *, own_session: bool
) -> Started:
    """Start programs that each become the next one, and the last of them this one."""
    _check_runnable(path, program.directory)
    command = [*tools, path, *program.arguments]
    return _start(program, command, _tool(command[0]), streams, own_session=own_session)


def _start(
    program: Program, command: list[str], path: str, streams: Streams, *, own_session: bool = True
) -> Started:
    process = subprocess.Popen(
        command,
        executable=path,
        env=program.environment,
        cwd=program.directory,
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        start_new_session=own_session,
    )
    try:
        return Started(process, os.pidfd_open(process.pid))
    except OSError:
        # Without it nobody would reap it.
        process.kill()
        process.wait()
        raise


def _found(program: Program) -> str:
    """Look for its name in the new process's PATH; in ours where that has none, as GLib does."""
    if "/" in program.name:
        return program.name
    path = shutil.which(
        program.name, path=program.environment.get("PATH") or os.environ.get("PATH") or _DEFAULT_PATH
    )
    return path or _missing(program.name)


def _tool(name: str) -> str:
    return shutil.which(name, path=_DEFAULT_PATH) or _missing(name)


def _missing(name: str) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _check_runnable(path: str, directory: str | None) -> None:
    """Find out what only execve would tell, to a program in between."""
    there = Path(directory or "", path)
    if not there.exists():
        _missing(path)
    if there.is_dir() or not os.access(there, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


@contextmanager
def _explained(program: Program) -> Iterator[None]:
    """Turn what starting a program raises into what qemu-ga says."""
    try:
        yield
    except OSError as error:
        raise CommandError(_failure(program, error)) from error
    except ValueError as error:
        # A NUL in an argument, or half a surrogate pair.
        raise CommandError(_failure(program, OSError(errno.EINVAL, ""))) from error


def _failure(program: Program, error: OSError) -> str:
    reason = os.strerror(error.errno or 0)
    if program.directory is not None and error.filename == program.directory:
        return f"cannot start in directory '{program.directory[:MAX_SHOWN]}': {reason}"
    what = f"Failed to execute child process “{program.name[:MAX_SHOWN]}” ({reason})"
    return f"Guest agent command failed, error was '{what}'"
