"""A D-Bus daemon of one's own, in the place of the system bus."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from guestmux_protocol.errors import GuestmuxError

START_SECONDS = 20.0
"""A busy machine is some seconds behind."""

MAX_ADDRESS = 4096
"""Bytes of the line with the address."""

_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""
# It lets strangers call an agent, which the real system bus does not: so one sees whether the agent itself does.


class NoBus(GuestmuxError):
    """There can be no bus here."""


@asynccontextmanager
async def private_bus() -> AsyncIterator[str]:
    """Run a daemon for as long as the block lasts; gives its address.

    Raises:
        NoBus: dbus-daemon is not installed, or does not start.
    """
    with TemporaryDirectory(prefix="guestmux-check-") as directory:
        socket, configuration = Path(directory, "bus"), Path(directory, "bus.conf")
        configuration.write_text(_CONFIGURATION.format(socket=socket))
        command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"]
        try:
            process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise NoBus(
                f"dbus-daemon cannot be started ({error.strerror}): it is in the package dbus-daemon"
            ) from error
        async with process:
            try:
                await _until_ready(process)
                yield f"unix:path={socket}"
            finally:
                process.terminate()


async def _until_ready(process: anyio.abc.Process) -> None:
    if process.stdout is None:
        raise NoBus("dbus-daemon has no output")
    try:
        with anyio.fail_after(START_SECONDS):
            await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", MAX_ADDRESS)
    except (TimeoutError, anyio.IncompleteRead, anyio.EndOfStream, anyio.DelimiterNotFound) as error:
        raise NoBus("dbus-daemon did not start") from error
