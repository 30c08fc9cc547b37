"""The shape of the machine, and what was compared: all that the figures depend on and that may be published."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers.qemu_ga import QEMU_GA

PACKAGES = ("guestmux", "dbus-fast", "dbus-next", "msgspec", "anyio")


def shape() -> dict[str, str]:
    """What the figures depend on, for the head of the table and the JSON."""
    return {
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
        "qemu-ga": _said_by(str(QEMU_GA)),
        "dbus-daemon": _said_by("dbus-daemon"),
        **{package: _package(package) for package in PACKAGES},
    }


def load() -> float:
    """Processes that ran or wanted to in the last minute, in the mean; figures from a busy machine are worth little."""
    return os.getloadavg()[0]


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _said_by(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0].split()[-1]
