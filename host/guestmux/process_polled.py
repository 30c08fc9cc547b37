"""A process of guest-exec, whose output comes when it ended: what a stock qemu-ga has."""

from __future__ import annotations

import anyio
from anyio.abc import ByteSendStream

from guestmux.base64_bytes import decode
from guestmux.calling import Calling, read_as
from guestmux.output import BufferedOutput
from guestmux.process import ExitStatus, Process, number
from guestmux_protocol.guest.processes import GuestExecStatus

FIRST_PAUSE = 0.01
"""Seconds until the first look: most commands are short."""

LONGEST_PAUSE = 0.5
"""Seconds between two looks at a process that takes its time."""

FACTOR = 1.5
"""How pauses grow."""


class EndedInput(ByteSendStream):
    """The input of a process that got all of it at its start."""

    async def send(self, item: bytes) -> None:
        """Refuses.

        Raises:
            anyio.ClosedResourceError: always.
        """
        raise anyio.ClosedResourceError

    async def aclose(self) -> None:
        """Nothing to do."""


class PolledProcess(Process):
    """See `Process`."""

    live = False

    def __init__(self, guest: Calling, pid: int) -> None:
        self._outputs = BufferedOutput(), BufferedOutput()
        super().__init__(guest, pid, *self._outputs)

    @property
    def stdin(self) -> ByteSendStream:
        """Its input, which has ended."""
        return EndedInput()

    async def _follow(self) -> ExitStatus:
        pause = FIRST_PAUSE
        while not (status := await self._status()).exited:
            await anyio.sleep(pause)
            pause = min(pause * FACTOR, LONGEST_PAUSE)
        for output, text in zip(self._outputs, (status.out_data, status.err_data), strict=True):
            output.feed(decode("guest-exec-status", text) if isinstance(text, str) else b"")
        truncated = status.out_truncated is True or status.err_truncated is True
        return ExitStatus(number(status.exitcode), number(status.signal), truncated)

    async def _status(self) -> GuestExecStatus:
        value = await self._guest.call("guest-exec-status", pid=self.pid)
        return read_as(GuestExecStatus, "guest-exec-status", value)
