"""Which process is in which session, in place of the control groups that the real logind looks at."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

MAX_ANCESTORS: Final = 64
"""How far up the process tree to look; deeper than any shell in a terminal in a desktop."""

KILL_PATIENCE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL for a session's processes; systemd gives 90, which no demo waits for."""

_PARENT_FIELD: Final = 1
"""The parent's place in /proc/PID/stat behind the command's name (proc(5))."""


class SessionProcesses:
    """Processes that were said to be in a session; their children are in it too, as in a control group."""

    def __init__(self) -> None:
        self._sessions: dict[int, str] = {}
        self._ended_with_session: dict[int, int] = {}

    def add(self, session: str, pid: int, *, ends: bool) -> None:
        """Put a process into a session.

        Args:
            session: the session's id.
            pid: the process.
            ends: end the process with the session.

        Raises:
            ProcessLookupError: there is no such process.
        """
        pidfd = os.pidfd_open(pid)
        self._sessions[pid] = session
        if ends:
            self._ended_with_session[pid] = pidfd
        else:
            os.close(pidfd)

    def session_of(self, pid: int) -> str | None:
        """The session of a process, or of the nearest ancestor that is in one."""
        found = (self._sessions[each] for each in _with_ancestors(pid) if each in self._sessions)
        return next(found, None)

    async def end(self, session: str) -> None:
        """End the processes that end with their session, and forget the others; returns when they are gone."""
        pids = [pid for pid, its in self._sessions.items() if its == session]
        async with anyio.create_task_group() as tasks:
            for pid in pids:
                if pid in self._ended_with_session:
                    tasks.start_soon(_end_process, self._ended_with_session.pop(pid))
        for pid in pids:
            self._sessions.pop(pid, None)

    def close(self) -> None:
        """Let all processes be."""
        for pidfd in self._ended_with_session.values():
            os.close(pidfd)
        self._ended_with_session.clear()


async def _end_process(pidfd: int) -> None:
    gone = anyio.Event()
    loop = asyncio.get_running_loop()
    # A descriptor of a process is readable when the process has ended (pidfd_open(2)).
    loop.add_reader(pidfd, gone.set)
    try:
        _signal(pidfd, signal.SIGTERM)
        with anyio.move_on_after(KILL_PATIENCE):
            await gone.wait()
        if not gone.is_set():
            _signal(pidfd, signal.SIGKILL)
            await gone.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _signal(pidfd: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def _with_ancestors(pid: int) -> Iterator[int]:
    for _ in range(MAX_ANCESTORS):
        if pid <= 1:
            return
        yield pid
        pid = _parent(pid)


def _parent(pid: int) -> int:
    """The parent's pid; 0 where there is none, or the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The command's name is in parentheses and may hold any of them.
    return int(stat.rpartition(")")[2].split()[_PARENT_FIELD])
