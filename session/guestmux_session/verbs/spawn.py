"""Starts a program: finds it, gives it a session and a process group of its own, maybe a terminal to control."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guestmux_protocol.errors import MAX_SHOWN
from guestmux_session.errors import CommandError

_SHELL = "/bin/sh"
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

# Of util-linux. It takes stdin for its controlling terminal: the fast way to start a program runs no code of ours in
# the new process, and a fork of the whole agent, with its threads, is no way.
_TAKE_TERMINAL = ("setsid", "--ctty")


@dataclass(frozen=True)
class Program:
    """What to run.

    Attributes:
        name: a path, or a name to be found in PATH.
        arguments: those after the name.
        environment: all of it.
        directory: where it starts; None for where the agent is.
    """

    name: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str | None = None


@dataclass(frozen=True)
class Streams:
    """The descriptors that the program gets; negative ones are subprocess's DEVNULL and STDOUT."""

    stdin: int
    stdout: int
    stderr: int


def variables(given: Iterable[str]) -> dict[str, str]:
    """`NAME=value` by name. What has no `=` is no variable to anybody, and left out."""
    pairs = (entry.partition("=") for entry in given)
    return {name: value for name, equals, value in pairs if equals}


def spawn(program: Program, streams: Streams) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own. It may take as long as the disk does.

    Raises:
        CommandError: it cannot be started; in qemu-ga's words.
    """
    with _explained(program):
        path = _found(program.name, program.environment)
        try:
            return _start(program, [program.name, *program.arguments], path, streams)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script without `#!`, which GLib and the shells give to sh.
            return _start(program, [_SHELL, path, *program.arguments], _SHELL, streams)


def spawn_on_terminal(program: Program, slave: int) -> subprocess.Popen[bytes]:
    """Start a program with a terminal for its controlling one.

    Args:
        program: what.
        slave: the terminal's end for programs.

    Raises:
        CommandError: it cannot be started.
    """
    with _explained(program):
        path = _found(program.name, program.environment)
        _check_runnable(path, program.directory)
        taker = _found(_TAKE_TERMINAL[0], {"PATH": _DEFAULT_PATH})
        command = [*_TAKE_TERMINAL, path, *program.arguments]
        return _start(program, command, taker, Streams(slave, slave, slave), own_session=False)


def _start(
    program: Program, command: list[str], path: str, streams: Streams, *, own_session: bool = True
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        executable=path,
        env=program.environment,
        cwd=program.directory,
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        start_new_session=own_session,
    )


def _found(name: str, environment: Mapping[str, str]) -> str:
    """Look for a name in the new process's PATH; in ours where it has none, as GLib does."""
    if "/" in name:
        return name
    path = shutil.which(name, path=environment.get("PATH") or os.environ.get("PATH") or _DEFAULT_PATH)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return path


def _check_runnable(path: str, directory: str | None) -> None:
    """Find out what only execve would tell, to a program in between."""
    there = Path(directory or "", path)
    if not there.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
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
