"""The machine as a doctor sees it: its files and what its tools say. Tests give another root and other tools."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio

PATIENCE = 5.0
"""Seconds for one tool; systemctl and journalctl answer in a fraction of one, unless what they ask hangs."""

Tool = Callable[..., Awaitable[str | None]]


async def run_tool(*command: str) -> str | None:
    """What a command prints; None when it is not installed, fails, or does not end in time."""
    # Texts are read, so they must be in the language that they are written in here.
    environment = {**os.environ, "LC_ALL": "C"}
    with anyio.move_on_after(PATIENCE):
        try:
            done = await anyio.run_process(
                command, input=b"", stdout=PIPE, stderr=DEVNULL, check=False, env=environment
            )
        except OSError:
            return None
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None
    return None


@dataclass(frozen=True)
class Machine:
    """Where to look.

    Attributes:
        root: what stands for /.
        tool: runs a command; see `run_tool`.
        uid: who is looking.
    """

    root: Path = Path("/")
    tool: Tool = run_tool
    uid: int = os.geteuid()

    @property
    def is_root(self) -> bool:
        """Whether nothing is hidden."""
        return self.uid == 0

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs the machine (sd_booted(3))."""
        return self.path("/run/systemd/system").is_dir()

    def path(self, absolute: str) -> Path:
        """A path below this machine's root."""
        return self.root / absolute.lstrip("/")

    def first_of(self, paths: Iterable[str]) -> str | None:
        """The first path that exists."""
        return next((path for path in paths if self.path(path).exists()), None)


def user_name(uid: int) -> str:
    """The user's name; the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
