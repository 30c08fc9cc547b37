"""A process that is killed, paused and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import Signals

ROOT = Path(__file__).parents[2]

END_SECONDS = 120.0
"""For a process to end: eventd takes some seconds by itself, and the machine may do much else."""


class Stuck(AssertionError):
    """Something that must come did not."""


class Child:
    """A Python module as a process.

    Args:
        name: for people.
        log: where its output goes.
        module: what to run.
        arguments: for it.
        environment: further variables.
        options: for Python itself.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.log_path = log
        self.wanted = False
        self._command = [sys.executable, *options, "-m", module, *arguments]
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Child {self.name} {self.pid}>"

    @property
    def pid(self) -> int:
        """Its process; 0 where there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def log(self) -> str:
        """What it said, in all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Start it, unless it runs."""
        self.wanted = True
        if not self.pid:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                )

    def send(self, number: Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self.pid:
            self._process.send_signal(number)

    def end(self, number: Signals) -> None:
        """End it with a signal and wait until it is gone.

        Raises:
            Stuck: it goes on.
        """
        self.wanted = False
        self.send(number)
        try:
            if self._process is not None:
                self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise Stuck(f"{self.name} does not end by {number.name} within {END_SECONDS:g} s") from None
