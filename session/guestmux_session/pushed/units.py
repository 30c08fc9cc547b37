"""The pushed agents' units, by systemctl(1) and journalctl(1): the user's own service manager's, or the system's."""

from __future__ import annotations

import os
import subprocess

from guestmux_session.errors import CommandError
from guestmux_session.verbs.programs import ADMIN_PATH

COMMAND_SECONDS = 60.0
"""Longer than a unit's TimeoutStopSec and start together."""

MAX_TEXT = 2000
"""Characters of what programs say that an error repeats."""

ENDED = ("failed", "inactive")
"""States of a unit of which nothing comes any more by itself."""


class Units:
    """What is done with them; blocks.

    Args:
        system: the system's units, and not the user's.
        path: where the programs are looked for.
    """

    def __init__(self, *, system: bool, path: str = ADMIN_PATH) -> None:
        self._scope = [] if system else ["--user"]
        # Of the journal: who wrote a line, and not about whom it is.
        self._own_unit = "_SYSTEMD_UNIT" if system else "_SYSTEMD_USER_UNIT"
        self._environment = {**os.environ, "PATH": path, "LC_ALL": "C"}
        if not system:
            self._environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")

    def unit(self, name: str) -> str:
        """An agent's unit."""
        return f"guestmux-pushed-agent@{name}.service"

    def start(self, name: str) -> None:
        """Start it, if it does not run. Raises CommandError."""
        self._forgive(name)
        self._systemctl("start", self.unit(name))

    def restart(self, name: str) -> None:
        """Stop it, if it runs, and start it. Raises CommandError."""
        self._forgive(name)
        self._systemctl("restart", self.unit(name))

    def stop(self, name: str) -> None:
        """Stop it, if it runs. Raises CommandError."""
        self._systemctl("stop", self.unit(name))

    def enable(self, name: str) -> None:
        """Have it started with every login, or boot. Raises CommandError."""
        self._systemctl("enable", self.unit(name))

    def disable(self, name: str) -> None:
        """Stop it, and start it no more. Raises CommandError."""
        self._systemctl("disable", "--now", self.unit(name))
        self._forgive(name)

    def state(self, name: str) -> str:
        """What it is doing: `active`, `activating`, `failed`, `inactive`, … Raises CommandError."""
        return self._systemctl("show", "--property=ActiveState", "--value", self.unit(name)).strip()

    def log_command(self, name: str, lines: int, *, follow: bool = False) -> list[str]:
        """What prints its log."""
        more = ["--follow"] if follow else []
        return [*self._log(lines), "--output=short-iso", *more, "--unit", self.unit(name)]

    @property
    def environment(self) -> dict[str, str]:
        """For such programs."""
        return self._environment

    def last_words(self, name: str, since: float, lines: int) -> str:
        """What it has written since a time, in seconds since the epoch; nothing where that cannot be read.

        Where it has written nothing: what systemd says of it, as that there is no interpreter of the program's.
        """
        command = [*self._log(lines), "--output=cat", f"--since=@{since:.6f}"]
        try:
            own = self._run([*command, f"{self._own_unit}={self.unit(name)}"])
            return (own.strip() or self._run([*command, "--unit", self.unit(name)]))[-MAX_TEXT:].strip()
        except CommandError:
            return ""

    def _log(self, lines: int) -> list[str]:
        return ["journalctl", *self._scope, "--no-pager", "--quiet", f"--lines={lines}"]

    def _forgive(self, name: str) -> None:
        """Forget how often it failed; a unit that is not loaded has nothing to forget."""
        _finished(["systemctl", *self._scope, "reset-failed", self.unit(name)], self._environment)

    def _systemctl(self, *words: str) -> str:
        return self._run(["systemctl", *self._scope, "--quiet", *words])

    def _run(self, command: list[str]) -> str:
        done = _finished(command, self._environment)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[:MAX_TEXT]
            raise CommandError(f"{command[0]}: {said or f'exit status {done.returncode}'}")
        return done.stdout


def _finished(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Raises:
        CommandError: it cannot be started, or takes too long.
    """
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except OSError as error:
        raise CommandError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command[0]} did not end within {COMMAND_SECONDS:g} s") from error
