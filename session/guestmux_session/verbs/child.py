"""A process that we started: when it ends, how it ended, signals for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from guestmux_session.errors import CommandError
from guestmux_session.verbs.spawn import Started

# What subprocess takes for "this one was waited for already"; no process ends with it.
_LET_GO = -1000


class Child:
    """Watches a process by its pidfd and reaps it at once. Made and used on the event loop's thread.

    Args:
        started: what; nobody else waits for it.
        changed: called when it has ended.
    """

    def __init__(self, started: Started, changed: Callable[[], None]) -> None:
        self._process = started.process
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._pidfd = started.pidfd
        self._loop.add_reader(self._pidfd, self._on_end)

    def __repr__(self) -> str:
        return f"<Child {self.pid} {'RUNNING' if self.running else 'ENDED'}>"

    @property
    def pid(self) -> int:
        """The kernel's number for it."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended, as far as the loop got to know."""
        return self._process.returncode is None

    @property
    def exitcode(self) -> int | None:
        """Its exit status where it ended by itself."""
        status = self._process.returncode
        return status if status is not None and status >= 0 else None

    @property
    def signal(self) -> int | None:
        """The signal that ended it."""
        status = self._process.returncode
        return -status if status is not None and status < 0 else None

    def send(self, number: int) -> None:
        """Send a signal to its process group.

        Raises:
            CommandError: it has ended, or is not ours any more.
        """
        if not self.running:
            raise CommandError(f"PID {self.pid} has ended")
        try:
            self._send(number)
        except PermissionError as error:
            raise CommandError(f"PID {self.pid} runs as another user now and takes no signals") from error

    def go_on(self) -> None:
        """Let it begin, where it was held."""
        if self.running:
            signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)

    def let_go(self) -> None:
        """Watch it no more: the agent is stopping, the process goes on, and init reaps it."""
        if self.running:
            self._stop_watching()
            # Or its destructor would complain.
            self._process.returncode = _LET_GO

    def _send(self, number: int) -> None:
        # Not reaped yet, so that its number is nobody else's.
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # A group of its own is what it makes first, when it is to have a terminal.
            signal.pidfd_send_signal(self._pidfd, number)

    def _on_end(self) -> None:
        self._process.wait()
        self._stop_watching()
        self._changed()

    def _stop_watching(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)


def signal_number(wanted: int | str) -> int:
    """A signal's number, from a number or a name with or without SIG.

    Raises:
        CommandError: there is none.
    """
    if isinstance(wanted, str):
        name = wanted.upper().removeprefix("SIG")
        known = signal.Signals.__members__.get(f"SIG{name}")
        if known is None:
            raise CommandError(f"there is no signal '{wanted[:16]}'; name one as TERM, or give a number")
        return int(known)
    if wanted not in signal.valid_signals():
        raise CommandError(f"there is no signal {wanted}")
    return wanted
