"""A process that is watched while it runs by streams: its pipes reach to here, back-pressure and all."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
from anyio.abc import ByteSendStream
from msgspec import UNSET, Struct, UnsetType

from guestmux.calling import Calling, read_as
from guestmux.errors import GuestmuxError, RemoteError
from guestmux.guest_stream import GuestStream
from guestmux.output import Output
from guestmux.process import ExitStatus, number
from guestmux.process_watched import WatchedProcess
from guestmux_protocol.messages import GENERIC_ERROR

ATTACH = "guest-exec-attach"

logger = logging.getLogger(__name__)


class _Ended(Struct, frozen=True):
    """The last word of the `stdio` stream."""

    exitcode: int | UnsetType = UNSET
    signal: int | UnsetType = UNSET


class StreamedOutput(Output):
    """An output that comes by itself.

    Args:
        stream: brings it; None where there is no such output.
    """

    def __init__(self, stream: GuestStream | None) -> None:
        self._stream = stream
        self._error: GuestmuxError | RemoteError | None = None
        self._discarding: asyncio.Task[None] | None = None

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """See `Output`."""
        if self._error is not None:
            raise self._error
        if self._stream is None or self._discarding is not None:
            raise anyio.EndOfStream
        try:
            return await self._stream.receive(max_bytes)
        except (anyio.ClosedResourceError, RemoteError, GuestmuxError):
            if self._error is not None:
                raise self._error from None
            raise

    async def aclose(self) -> None:
        """See `Output`."""
        if self._stream is not None and self._discarding is None:
            self._discarding = asyncio.create_task(_discard(self._stream), name=f"discard {self._stream!r}")

    def end(self, error: GuestmuxError | RemoteError | None = None) -> None:
        """What has come may still be received, unless there is an error."""
        self._error = self._error or error
        if error is not None and self._discarding is not None:
            self._discarding.cancel()


async def _discard(stream: GuestStream) -> None:
    try:
        async for _ in stream:
            pass
    except (GuestmuxError, RemoteError, anyio.ClosedResourceError) as error:
        logger.debug("%r: %s", stream, error)


class StreamedInput(ByteSendStream):
    """The input of an attached process.

    Args:
        stream: takes it there.
    """

    def __init__(self, stream: GuestStream) -> None:
        self._stream = stream
        self._sending: anyio.CancelScope | None = None
        self._over = False

    async def send(self, item: bytes) -> None:
        """Write all of it; waits while the process takes nothing.

        Raises:
            RemoteError: the process has ended.
            GuestmuxError: the connection was lost.
        """
        with anyio.CancelScope() as self._sending:
            if not self._over:
                await self._stream.send(item)
                return
        raise RemoteError(GENERIC_ERROR, "the process has ended")

    async def aclose(self) -> None:
        """Say that nothing follows."""
        await self._stream.send_eof()

    def end(self) -> None:
        """The process has ended; who still sends to it waits no longer."""
        self._over = True
        if self._sending is not None:
            self._sending.cancel()


class AttachedProcess(WatchedProcess):
    """See `Process`.

    Args:
        guest: where it runs.
        pid: the guest's number for it.
        stdio: its input and its output, or its terminal.
        stderr: its other output; None where it has a terminal.
    """

    def __init__(self, guest: Calling, pid: int, stdio: GuestStream, stderr: GuestStream | None) -> None:
        self._streams = [stdio] if stderr is None else [stdio, stderr]
        self._stdio = stdio
        self._stdin = StreamedInput(stdio)
        super().__init__(guest, pid, StreamedOutput(stdio), StreamedOutput(stderr))

    @property
    def stdin(self) -> ByteSendStream:
        """Its input."""
        return self._stdin

    async def _follow(self) -> ExitStatus:
        try:
            ended = read_as(_Ended, ATTACH, await self._stdio.result())
        finally:
            self._stdin.end()
        return ExitStatus(number(ended.exitcode), number(ended.signal))

    async def _forget(self) -> None:
        await super()._forget()
        for stream in self._streams:
            await _let_go(stream, ended=self.exit is not None)


async def _let_go(stream: GuestStream, *, ended: bool) -> None:
    """Give up a stream; what came of one that ended may still be read."""
    try:
        await (stream.send_eof() if ended else stream.aclose())
    except (GuestmuxError, RemoteError, anyio.ClosedResourceError) as error:
        logger.debug("%r: %s", stream, error)


async def attach(guest: Calling, pid: int, *, terminal: bool, **routing: Any) -> AttachedProcess:
    """Join a process of guest-exec-live.

    Args:
        guest: where it runs.
        pid: the guest's number for it.
        terminal: whether it has a terminal, and so only one output.
        routing: see `Guest.stream`.

    Raises:
        NoStreams: the port carries none.
        CommandNotFound: its agent has no streams.
        RemoteError: the guest refused.
        GuestmuxError: as for `Guest.stream`.
    """
    stdio = await guest.stream(ATTACH, pid=pid, channel="stdio", **routing)
    if terminal:
        return AttachedProcess(guest, pid, stdio, None)
    try:
        stderr = await guest.stream(ATTACH, pid=pid, channel="stderr", **routing)
    except BaseException:
        await _let_go(stdio, ended=False)
        raise
    return AttachedProcess(guest, pid, stdio, stderr)
