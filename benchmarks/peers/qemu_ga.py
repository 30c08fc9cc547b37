"""Stock qemu-ga on a unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.processes import running

QEMU_GA = shutil.which("qemu-ga", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

NAME = "qemu-ga"


@contextmanager
def qemu_ga(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run one; gives the process and the path of its socket.

    It is started anew after a host that left its replies unread (--retry-path): otherwise it ends there.
    """
    path = directory / "qemu-ga.sock"
    path.unlink(missing_ok=True)
    command = [str(QEMU_GA), "-m", "unix-listen", "-p", str(path), "-t", str(directory), "--retry-path"]
    with running(command, dict(os.environ), directory / "qemu-ga.log") as process:
        yield process, str(path)
