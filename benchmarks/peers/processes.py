"""The processes that are compared: started alike, always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guestmux_transport.bus_library import LIBRARY_VARIABLE

STOP_PATIENCE = 1.0
"""Seconds from SIGTERM to SIGKILL; a qemu-ga whose host does not read hears no SIGTERM."""

_AS_SHIPPED = """\
import sys
from guestmux_transport.lean_imports import import_little
import_little()
from {}.__main__ import main
sys.exit(main())
"""


def environment(library: str = "") -> dict[str, str]:
    """The variables of a process.

    Args:
        library: the D-Bus library to use; empty for the default.
    """
    return {**os.environ, LIBRARY_VARIABLE: library}


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules, with the interpreter that runs this."""
    return [sys.executable, "-m", module, *arguments]


def shipped(package: str, *arguments: str) -> list[str]:
    """The command that runs a daemon of ours as the programs in packaging/bin do: without what it never uses."""
    return [sys.executable, "-c", _AS_SHIPPED.format(package), *arguments]


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], log: Path, *, talks: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run a process for as long as the block lasts.

    Args:
        command: what to run.
        environment: its variables.
        log: takes what it logs.
        talks: its standard input and output are pipes to here.
    """
    pipe = subprocess.PIPE if talks else None
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe or errors, stderr=errors, text=True
        )
    with process:
        try:
            yield process
        finally:
            stop(process)


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    """Have a process stand still for as long as the block lasts."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process, whatever it does."""
    process.terminate()
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
