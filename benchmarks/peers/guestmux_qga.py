"""guestmux-qga on a unix socket, as qemu-ga is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.processes import running, shipped

NAME = "guestmux-qga"


@contextmanager
def guestmux_qga(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run one; gives the process and the path of its socket."""
    path = directory / "guestmux-qga.sock"
    options = ("-m", "unix-listen", "-p", str(path), "-t", str(directory), "-c", "/dev/null")
    with running(shipped("guestmux_qga", *options), dict(os.environ), directory / "qga.log") as process:
        yield process, str(path)
