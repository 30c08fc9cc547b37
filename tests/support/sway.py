"""A real Wayland compositor without a screen. sway refuses to be root's: where the tests are, it is another user's."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
READY_SECONDS = 20.0
"""A busy machine takes its time."""

_CONFIG = "focus_follows_mouse no\nxwayland disable\n"


class Sway:
    """The compositor, and how to reach it.

    Attributes:
        environment: the variables by which programs do.
        variables: others that programs are to have.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "config").write_text(_CONFIG)
        self._programs: list[subprocess.Popen[bytes]] = []
        self._as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        if os.geteuid() != 0:
            self._as_user = []
        self.variables: dict[str, str] = {}
        self.process = self._start()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "XDG_RUNTIME_DIR": str(self._directory),
            "XDG_SESSION_TYPE": "wayland",
            "WAYLAND_DISPLAY": "wayland-1",
        }

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program on it, which ends with it."""
        program = self._popen(*command)
        self._programs.append(program)
        return program

    def crash(self) -> None:
        """End it at once, and with it all that is on it."""
        self.process.kill()
        self.process.wait()
        self._end_programs()
        for left in self._directory.glob("*wayland-*"):
            left.unlink()

    def restart(self) -> None:
        """Start it again at the same place."""
        self.process = self._start()

    def close(self) -> None:
        self._end_programs()
        self.process.terminate()
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        process = self._popen("sway", "--config", str(self._directory / "config"))
        ends = time.monotonic() + READY_SECONDS
        while not (self._directory / "wayland-1").exists():
            assert process.poll() is None, "sway did not start"
            assert time.monotonic() < ends, "sway is not ready"
            time.sleep(0.02)
        return process

    def _popen(self, *command: str) -> subprocess.Popen[bytes]:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._directory),
            "SHELL": "/bin/sh",
            **self.environment,
            **self.variables,
            "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": "pixman",
        }
        if command[0] == "sway":
            del variables["WAYLAND_DISPLAY"]
        with (self._directory / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen([*self._as_user, *command], env=variables, stdout=log, stderr=log)

    def _end_programs(self) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
        self._programs.clear()


@contextmanager
def sway() -> Iterator[Sway]:
    """Run one for as long as the block lasts."""
    # A socket's path must be short, and all above it be open to the other user.
    with tempfile.TemporaryDirectory(prefix="sway-") as name:
        directory = Path(name)
        if os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        compositor = Sway(directory)
        try:
            yield compositor
        finally:
            compositor.close()
