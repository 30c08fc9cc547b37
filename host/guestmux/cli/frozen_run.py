"""A command of the host, run while the guest's file systems are frozen."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import anyio
from anyio.abc import Process, TaskStatus

from guestmux.cli import exits
from guestmux.cli.output import warn
from guestmux.cli.signals import heeded
from guestmux.errors import GuestmuxError, RemoteError
from guestmux.guest import Guest
from guestmux.process import SIGNAL_BASE

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end the command; the guest is thawed first."""

KILL_AFTER = 5.0
"""Seconds that the command has to end once it was told to; the guest is thawed by then."""


class FrozenRun:
    """Freezes, runs a command, and thaws, whatever happens meanwhile.

    Args:
        guest: whose file systems.
        mountpoints: which; all where none is named.
        command: read by a shell.
        limit: seconds for the command; None: as long as it takes.
        timeout: seconds to freeze.
    """

    def __init__(
        self, guest: Guest, mountpoints: Sequence[str], command: str, limit: float | None, timeout: float
    ) -> None:
        self._guest = guest
        self._mountpoints = mountpoints
        self._command = command
        self._limit = limit
        self._timeout = timeout
        self._is_frozen = False
        self._process: Process | None = None
        self._scope = anyio.CancelScope()
        self._stopped: signal.Signals | None = None

    async def run(self) -> int:
        """Give the command's exit status, 124 where the limit ended it, or 128 and the signal that ended us.

        Raises:
            RemoteError: the guest refused.
            GuestmuxError: it is out of reach.
        """
        async with anyio.create_task_group() as tasks:
            if stopping := heeded(STOPPING):
                await tasks.start(self._watch_signals, stopping)
            outcome = await self._outcome()
            tasks.cancel_scope.cancel()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _outcome(self) -> int | GuestmuxError | RemoteError:
        try:
            await self._run_frozen()
        except (GuestmuxError, RemoteError) as error:
            if self._is_frozen:
                warn("the guest may still be frozen: guestmux fs thaw")
            await self._end_command()
            return error
        return await self._status()

    async def _run_frozen(self) -> None:
        with self._scope:
            async with self._guest.frozen(self._mountpoints, timeout=self._timeout) as count:
                self._is_frozen = True
                if not count:
                    warn("nothing was frozen: no file system is mounted there")
                with anyio.move_on_after(self._limit):
                    self._process = await anyio.open_process(
                        self._command, stdin=None, stdout=None, stderr=None
                    )
                    await self._process.wait()
        self._is_frozen = False

    async def _status(self) -> int:
        ended_by_itself = self._process is not None and self._process.returncode is not None
        await self._end_command()
        if self._stopped is not None:
            return SIGNAL_BASE + self._stopped
        if not ended_by_itself or self._process is None:
            warn(
                f"thawed after {self._limit:g} s, before the command ended: what it copied is not consistent"
            )
            return exits.TIMEOUT
        status = self._process.returncode or 0
        return status if status >= 0 else SIGNAL_BASE - status

    async def _end_command(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        with anyio.move_on_after(KILL_AFTER):
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _watch_signals(self, stopping: list[signal.Signals], *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*stopping) as signals:
            task_status.started()
            async for number in signals:
                if self._stopped is not None:
                    warn("the guest is being thawed")
                    continue
                self._stopped = number
                self._scope.cancel()
