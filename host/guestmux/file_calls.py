"""Files in the guest."""

from __future__ import annotations

import logging
from typing import Any

import anyio

from guestmux.asking import CALL_TIMEOUT
from guestmux.calling import Calling, read_as
from guestmux.errors import CallTimeout, CommandFailed, CommandNotFound, NoStreams, UnexpectedReply
from guestmux.file import GuestFile
from guestmux.guest_stream import GuestStream
from guestmux_protocol.guest.transfer import Transferred

DOWNLOAD = "guest-file-download"

logger = logging.getLogger(__name__)


class FileCalls(Calling):
    """Opens files. Without a session the system agent does it, with one that session's agent, as its user."""

    async def open_file(
        self,
        path: str,
        mode: str = "r",
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> GuestFile:
        """Open a file: `async with await guest.open_file("/etc/hostname") as file`.

        Args:
            path: full path in the guest.
            mode: as fopen(3) has it; bytes in any case.
            session: whose agent opens it: a logind id, `active` or `user:NAME`.
            wait: seconds to wait for that agent to register.
            timeout: seconds for the opening, and for each piece that is read or written.
        """
        value = await self.call(
            "guest-file-open", path=path, mode=mode, session=session, wait=wait, timeout=timeout
        )
        return GuestFile(self, path, read_as(int, "guest-file-open", value), timeout)

    async def read_file(
        self,
        path: str,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content of a file; arguments as for `open_file`."""
        routing: dict[str, Any] = {"session": session, "wait": wait, "timeout": timeout}
        if self.has_streams:
            try:
                stream = await self.stream(DOWNLOAD, path=path, checksum=False, **routing)
            except (NoStreams, CommandNotFound, CommandFailed) as error:
                # What is no regular file has no stream either; what else is wrong is told once more.
                logger.debug("%s: %s", DOWNLOAD, error)
            else:
                return await _all_of(stream, CALL_TIMEOUT if timeout is None else timeout)
        async with await self.open_file(path, **routing) as file:
            return await file.read()

    async def write_file(
        self,
        path: str,
        data: bytes,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Make or replace a file's content, in place: when it fails half-way the file is incomplete.

        Arguments as for `open_file`.
        """
        async with await self.open_file(path, "w", session=session, wait=wait, timeout=timeout) as file:
            await file.write(data)


async def _all_of(stream: GuestStream, patience: float) -> bytes:
    """Everything; raises CallTimeout when nothing comes for so many seconds."""
    pieces = []
    async with stream:
        await stream.send_eof()
        while piece := await _piece(stream, patience):
            pieces.append(piece)
        sent = read_as(Transferred, DOWNLOAD, await stream.result()).bytes
    content = b"".join(pieces)
    if sent != len(content):
        raise UnexpectedReply(f"the guest's answer to {DOWNLOAD}: {sent} bytes, and {len(content)} came")
    return content


async def _piece(stream: GuestStream, patience: float) -> bytes:
    with anyio.move_on_after(patience):
        try:
            return await stream.receive()
        except anyio.EndOfStream:
            return b""
    raise CallTimeout(f"nothing came of the file within {patience:g} s")
