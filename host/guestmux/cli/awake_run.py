"""A command of the host, run while a session of the guest is kept awake."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

import anyio
from anyio.abc import Process, TaskStatus

from guestmux.cli import exits
from guestmux.cli.output import warn
from guestmux.cli.signals import heeded
from guestmux.process import SIGNAL_BASE

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
"""Signals that the command is to get as well; we wait for its end."""

OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""Signals that a terminal gives to the command by itself."""


async def until_told(seconds: float | None) -> int:
    """Wait so long, or until a signal ends us."""
    with anyio.move_on_after(seconds):
        await anyio.sleep_forever()
    return exits.OK


class AwakeRun:
    """Runs it.

    Args:
        command: its words; no shell reads them.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._early: list[signal.Signals] = []

    async def run(self) -> int:
        """Give the command's exit status, 128 and the signal that ended it, 127 or 126 where it did not start."""
        async with anyio.create_task_group() as tasks:
            if signals := heeded((*PASSED_ON, *OF_THE_TERMINAL)):
                await tasks.start(self._pass_on, signals)
            status = await self._status()
            tasks.cancel_scope.cancel()
        return status if status >= 0 else SIGNAL_BASE - status

    async def _status(self) -> int:
        name = self._command[0]
        try:
            self._process = await anyio.open_process([*self._command], stdin=None, stdout=None, stderr=None)
        except FileNotFoundError:
            warn(f"{name}: there is no such program")
            return exits.NOT_FOUND
        except OSError as error:
            warn(f"{name}: {error.strerror}")
            return exits.REFUSED
        for number in self._early:
            self._signal(self._process, number)
        return await self._process.wait()

    async def _pass_on(self, signals: list[signal.Signals], *, task_status: TaskStatus[None]) -> None:
        by_terminal = OF_THE_TERMINAL if sys.stdin is not None and sys.stdin.isatty() else ()
        with anyio.open_signal_receiver(*signals) as received:
            task_status.started()
            async for number in received:
                if number in by_terminal:
                    continue
                if self._process is None:
                    self._early.append(number)
                else:
                    self._signal(self._process, number)

    @staticmethod
    def _signal(process: Process, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(number)
