"""A real X server without a screen, with a cookie; and the programs on it."""

from __future__ import annotations

import os
import secrets
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 20
"""A busy machine takes its time."""

FIRST_NUMBER, NUMBERS = 1000, 30_000
"""Of displays, far from those that people and other programs have."""

_OPTIONS = ("-nolisten", "tcp", "-screen", "0", "640x480x24", "-noreset")


class XServer:
    """Xvfb, and how to reach it.

    Args:
        directory: for its files.
        command: the server, with its options.

    Attributes:
        environment: the variables by which programs do.
    """

    def __init__(self, directory: Path, command: Sequence[str] = ("Xvfb", *_OPTIONS)) -> None:
        self._command = command
        self._authority = directory / "authority"
        self._cookie = secrets.token_bytes(16)
        self._programs: list[subprocess.Popen[bytes]] = []
        # The lowest that is free may be another test run's by the time that this server comes back.
        self.number = FIRST_NUMBER + secrets.randbelow(NUMBERS)
        self.process = self._start()

    @property
    def environment(self) -> dict[str, str]:
        return {"DISPLAY": f":{self.number}", "XAUTHORITY": str(self._authority), "XDG_SESSION_TYPE": "x11"}

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program on it, which ends with it."""
        environment = {**os.environ, **self.environment}
        program = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._programs.append(program)
        return program

    def manage(self) -> None:
        """Start a window manager, and wait until it is one."""
        self.run("openbox")
        ends = time.monotonic() + READY_SECONDS
        while "_NET_CLIENT_LIST(" not in self.ask("xprop", "-root"):
            assert time.monotonic() < ends, "openbox is not ready"
            time.sleep(0.02)

    def ask(self, *command: str) -> str:
        """What a program on it says."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=READY_SECONDS
        ).stdout

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does nothing for as long as the block lasts."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def crash(self) -> None:
        """End it at once, and with it all that is on it."""
        self.process.kill()
        self.process.wait()
        self._end_programs()

    def restart(self) -> None:
        """Start it again under the same number."""
        self.process = self._start()

    def close(self) -> None:
        self._end_programs()
        self.process.terminate()
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        display = f":{self.number}"
        # Of any host and any display.
        entry = [b"", b"", b"MIT-MAGIC-COOKIE-1", self._cookie]
        packed = b"".join(struct.pack(">H", len(part)) + part for part in entry)
        self._authority.write_bytes(struct.pack(">H", 65535) + packed)
        program, *options = self._command
        options += ["-auth", str(self._authority), "-displayfd", str(writing)]
        process = subprocess.Popen(
            [program, display, *options],
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as ready:
            assert ready.readline(), f"{program} did not start"
        return process

    def _end_programs(self) -> None:
        for program in self._programs:
            program.kill()
            program.wait()
        self._programs.clear()


@contextmanager
def x_server(directory: Path) -> Iterator[XServer]:
    """Run one for as long as the block lasts."""
    server = XServer(directory)
    try:
        yield server
    finally:
        server.close()
