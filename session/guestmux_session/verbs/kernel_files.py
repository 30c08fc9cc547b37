"""Reading the small files that the kernel makes up in /proc and /sys, and what to say where one cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

from guestmux_session.errors import CommandError

SYSFS = Path("/sys")
PROCFS = Path("/proc")

MAX_TABLE = 16 << 20
"""Bytes read of one table in /proc: a hundred thousand mounts or routes, and an end to whatever else is there."""


def read_table(path: Path) -> list[str]:
    """The lines of a table in /proc, MAX_TABLE bytes at most; what is no UTF-8 becomes U+FFFD.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        with path.open("rb") as table:
            return _lines(table.read(MAX_TABLE).decode(errors="replace"))
    except OSError as error:
        raise failed(f'open("{path}")', error) from error


def attribute(path: Path) -> str:
    """An attribute in sysfs without the white space around it; empty where it is missing or cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def properties(path: Path) -> dict[str, str]:
    """A file of `NAME=value` lines; without entries where it is missing or cannot be read."""
    pairs = (line.partition("=") for line in _lines(attribute(path)))
    return {name: value for name, found, value in pairs if found}


def names_in(directory: Path) -> list[str]:
    """The names in a directory, sorted; none where it is missing or cannot be read."""
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names alone, and of no more than is asked
    except OSError:
        return []


def failed(what: str, error: OSError) -> CommandError:
    """An error in the words of QEMU's error_setg_errno."""
    return CommandError(f"{what}: {error.strerror or error}")


def _lines(text: str) -> list[str]:
    """Ended by newlines alone: names in the kernel's tables may have all else that Unicode calls a line's end."""
    return text.removesuffix("\n").split("\n")
