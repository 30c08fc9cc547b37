"""guest-exec-attach: a live process's output and input as streams."""

from __future__ import annotations

import anyio
from msgspec import UNSET

from guestmux_protocol.guest.processes import GuestExecEnd
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream
from guestmux_session.verbs.live_process import LiveProcess
from guestmux_session.verbs.output import Output

DRAIN_SILENCE = 0.1
"""Seconds without a byte after which the output of a process that ended is over, though others of its making have it
open: what it wrote itself is in the pipe by then, and a service that it left behind would keep the host for ever."""

_SEND_BYTES = 64 * 1024
"""Bytes that are taken at once: what a pipe holds."""


async def attach_stdio(process: LiveProcess, stream: ServedStream) -> GuestExecEnd:
    """Be a process's stdin and stdout until it has ended.

    Raises:
        CommandError: it was closed.
    """
    with process.attached("stdio") as output:
        await stream.accept()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_feed, process, stream)
            await _send_output(process, output, stream)
            await process.until_ended()
            tasks.cancel_scope.cancel()
    _check_not_closed(process)
    child = process.child
    return GuestExecEnd(
        exitcode=UNSET if child.exitcode is None else child.exitcode,
        signal=UNSET if child.signal is None else child.signal,
    )


async def attach_stderr(process: LiveProcess, stream: ServedStream) -> None:
    """Be a process's stderr until nothing more comes of it. Raises as `attach_stdio` does."""
    with process.attached("stderr") as output:
        await stream.accept()
        await _send_output(process, output, stream)
    _check_not_closed(process)


async def _send_output(process: LiveProcess, output: Output, stream: ServedStream) -> None:
    """Send what it writes. What waits to be sent is bounded, as no more is read then; the process has to wait, too."""
    while True:
        if data := output.take(_SEND_BYTES):
            await stream.send(bytes(data))
        elif output.ended:
            return
        elif process.ended:
            with anyio.move_on_after(DRAIN_SILENCE) as silence:
                await process.changed.wait()
            if silence.cancelled_caught:
                return
        else:
            await process.changed.wait()


async def _feed(process: LiveProcess, stream: ServedStream) -> None:
    try:
        async for data in stream:
            await process.feed(data)
        await process.write(b"", end=True)
    except CommandError:
        # It reads no more. A host that first sends all and then reads must not wait for ever.
        async for _ in stream:
            pass


def _check_not_closed(process: LiveProcess) -> None:
    if process.closed:
        raise CommandError(f"PID {process.child.pid} was closed by guest-exec-close")
