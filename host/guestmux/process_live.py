"""A process that is watched while it runs by calls: guest-exec-read and its companions."""

from __future__ import annotations

import anyio
from anyio.abc import ByteSendStream

from guestmux.base64_bytes import decode, encode
from guestmux.calling import Calling, read_as
from guestmux.output import BufferedOutput
from guestmux.process import ExitStatus, number
from guestmux.process_watched import WatchedProcess
from guestmux_protocol.guest.processes import GuestExecOutput, GuestExecWritten

LINGER_CONCURRENT = 20.0
"""Seconds that a read waits in the guest where it holds nobody up; less than a call's deadline of 30."""

LINGER_IN_ORDER = 0.1
"""Seconds that a read waits where input and signals wait behind it: what a typist does not notice."""

LINGER_AFTER_EXIT = 0.1
"""Seconds for what was written before the end to come out of the pipe; grandchildren may hold it open for ever."""

READ_BYTES = 512 * 1024
"""Bytes of each output in one read."""

WRITE_BYTES = 64 * 1024
"""Bytes of input in one call: what a pipe holds."""

STALLED_SECONDS = 0.05
"""Seconds between two tries to write to a process that takes nothing."""


class Input(ByteSendStream):
    """The input of a live process."""

    def __init__(self, guest: Calling, pid: int) -> None:
        self._guest = guest
        self._pid = pid
        self._ended = False

    async def send(self, item: bytes) -> None:
        """Write all of it; waits while the process takes nothing.

        Raises:
            RemoteError: the process takes no input any more.
            GuestmuxError: the connection was lost.
        """
        left = memoryview(item)
        while left:
            taken = await self._write(bytes(left[:WRITE_BYTES]))
            left = left[taken:]
            if not taken:
                await anyio.sleep(STALLED_SECONDS)

    async def aclose(self) -> None:
        """Say that nothing follows."""
        if not self._ended:
            self._ended = True
            await self._write(b"", eof=True)

    async def _write(self, data: bytes, *, eof: bool = False) -> int:
        arguments = {"pid": self._pid, "buf-b64": encode(data), **({"eof": True} if eof else {})}
        value = await self._guest.call("guest-exec-write", arguments)
        count = read_as(GuestExecWritten, "guest-exec-write", value).count
        return min(max(count, 0), len(data))


class LiveProcess(WatchedProcess):
    """See `Process`."""

    def __init__(self, guest: Calling, pid: int) -> None:
        self._stdin = Input(guest, pid)
        self._outputs = BufferedOutput(), BufferedOutput()
        super().__init__(guest, pid, *self._outputs)

    @property
    def stdin(self) -> ByteSendStream:
        """Its input."""
        return self._stdin

    async def _follow(self) -> ExitStatus:
        linger = LINGER_CONCURRENT if self._guest.concurrent else LINGER_IN_ORDER
        while True:
            for output in self._outputs:
                await output.room()
            reply = await self._read(linger)
            if reply.exited:
                linger = LINGER_AFTER_EXIT
                silent = not (reply.out_data or reply.err_data)
                if silent or (reply.out_eof and reply.err_eof):
                    return ExitStatus(number(reply.exitcode), number(reply.signal))

    async def _read(self, linger: float) -> GuestExecOutput:
        arguments = {"pid": self.pid, "max-bytes": READ_BYTES, "linger": linger}
        value = await self._guest.call("guest-exec-read", arguments)
        reply = read_as(GuestExecOutput, "guest-exec-read", value)
        stdout, stderr = self._outputs
        for output, text, ended in (
            (stdout, reply.out_data, reply.out_eof),
            (stderr, reply.err_data, reply.err_eof),
        ):
            output.feed(decode("guest-exec-read", text))
            if ended:
                output.end()
        return reply
