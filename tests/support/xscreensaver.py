"""A real xscreensaver. It refuses to lock root's screen: where the tests are root, it is another user's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.sway import NOBODY
from tests.support.x_server import XServer

_SETTINGS = "mode: blank\nlock: True\nsplash: False\nfade: False\n"


class XScreensaver:
    """A running daemon.

    Args:
        directory: its user's home.
        server: the X server.
    """

    def __init__(self, directory: Path, server: XServer) -> None:
        shutil.copy(server.environment["XAUTHORITY"], directory / "authority")
        (directory / ".xscreensaver").write_text(_SETTINGS)
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            for path in (directory, *directory.iterdir()):
                os.chown(path, NOBODY, NOBODY)
            self._prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "DISPLAY": server.environment["DISPLAY"],
            "XAUTHORITY": str(directory / "authority"),
            # Without it a helper of its own has it locked when logind says so.
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nosuch",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nosuch",
        }
        self.process = subprocess.Popen(
            [*self._prefix, "xscreensaver", "--no-splash"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def command(self, option: str) -> None:
        """What `xscreensaver-command` does."""
        subprocess.run(
            [*self._prefix, "xscreensaver-command", option],
            env=self._environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=20,
        )

    def kill(self) -> None:
        """End it as a crash does: what it said stays on the root window."""
        self.process.kill()
        self.process.wait()


@contextmanager
def xscreensaver(server: XServer) -> Iterator[XScreensaver]:
    """Run one for as long as the block lasts."""
    # All above it has to be open to the other user.
    with TemporaryDirectory(prefix="xscreensaver-") as name:
        daemon = XScreensaver(Path(name), server)
        try:
            yield daemon
        finally:
            daemon.kill()
