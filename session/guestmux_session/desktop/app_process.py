"""What the kernel and systemd know of an application's process."""

from __future__ import annotations

from pathlib import Path

from guestmux_session.desktop.app_units import app_of_unit

_MAX_BYTES = 4096
"""Bytes of a file in /proc: one line of cgroup v2, or a dozen of v1."""


def app_of_process(pid: int) -> str:
    """The application's id by the unit that a process is in; else its program's name; empty where it is gone.

    It reads /proc, which does not wait for disks.
    """
    for line in _read(pid, "cgroup").splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if app_id := app_of_unit(part):
                return app_id
    return _read(pid, "comm").strip()


def _read(pid: int, name: str) -> str:
    try:
        with Path(f"/proc/{pid}/{name}").open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""
