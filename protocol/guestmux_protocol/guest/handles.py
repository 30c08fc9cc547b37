"""Which arguments and results of the guest commands are file handles or pids, and which commands end one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "process"]

CLOSING: dict[Kind, tuple[str, str]] = {
    "file": ("guest-file-close", "handle"),
    "process": ("guest-exec-close", "pid"),
}
"""The command, and its argument, by which a file or a process is let go."""


@dataclass(frozen=True)
class HandleUse:
    """What a command does with a number that stands for a file or a process.

    Attributes:
        kind: what it stands for.
        takes: the argument that is one; empty where the command takes none.
        gives: the member of the result that is a new one, `""` the whole result; None where it gives none.
        ends: whether its success ends it.
        ends_when: the boolean member of the result that says that it ended; empty for none.
    """

    kind: Kind
    takes: str = ""
    gives: str | None = None
    ends: bool = False
    ends_when: str = ""


HANDLES: dict[str, HandleUse] = {
    "guest-file-open": HandleUse("file", gives=""),
    "guest-file-close": HandleUse("file", takes="handle", ends=True),
    "guest-file-read": HandleUse("file", takes="handle"),
    "guest-file-write": HandleUse("file", takes="handle"),
    "guest-file-seek": HandleUse("file", takes="handle"),
    "guest-file-flush": HandleUse("file", takes="handle"),
    "guest-exec": HandleUse("process", gives="pid"),
    "guest-exec-live": HandleUse("process", gives="pid"),
    "guest-exec-status": HandleUse("process", takes="pid", ends_when="exited"),
    "guest-exec-read": HandleUse("process", takes="pid"),
    "guest-exec-write": HandleUse("process", takes="pid"),
    "guest-exec-attach": HandleUse("process", takes="pid"),
    "guest-exec-signal": HandleUse("process", takes="pid"),
    "guest-exec-resize": HandleUse("process", takes="pid"),
    "guest-exec-close": HandleUse("process", takes="pid", ends=True),
}
"""Every command that has to do with one."""


def unknown_handle(kind: Kind, number: int) -> str:
    """The error of a number that stands for nothing, in qemu-ga's words (qga/commands-posix.c, qga/commands.c).

    For a pid they are those that 10.2 means to say: its format string lacks a character.
    """
    return f"handle '{number}' has not been found" if kind == "file" else f"PID {number} does not exist"
