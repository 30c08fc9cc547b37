"""The clipboards of a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from guestmux import base64_bytes
from guestmux.calling import Calling, read_as
from guestmux.calls import ACTIVE
from guestmux.errors import CallTimeout
from guestmux_protocol.clipboard_commands import TEXT, ClipboardContent, ClipboardFormats, Selection

STREAMED_BYTES = 256 * 1024
"""Bytes from which on a content is sent as a stream: less is in the guest sooner as an argument."""

TRANSFER_TIMEOUT = 120.0
"""Seconds for a content to come or go: twice what the guest waits for the program that has it."""


class ClipboardCalls(Calling):
    """What is about clipboards. The guest refuses it while the session is locked or in the background.

    Sessions are a logind id, `active` or `user:NAME`; `wait` is seconds to wait for the session's agent.
    """

    async def clipboard_formats(
        self,
        session: str = ACTIVE,
        *,
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> ClipboardFormats:
        """In which formats there is a content.

        Args:
            session: whose clipboard.
            selection: `clipboard`, or `primary`: what the user has marked.
            wait: see `lock`.
            timeout: seconds until the call is cancelled.
        """
        value = await self.call(
            "session-clipboard-list", selection=selection, session=session, wait=wait, timeout=timeout
        )
        return read_as(ClipboardFormats, "session-clipboard-list", value)

    async def clipboard_get(
        self,
        session: str = ACTIVE,
        *,
        format: str = TEXT,  # noqa: A002 - the command's own word
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content; text is UTF-8.

        Args:
            session: whose clipboard.
            format: a MIME type, as `text/html`; `text/plain` is text in whatever form the session's programs have it.
            selection: `clipboard`, or `primary`: what the user has marked.
            wait: see `lock`.
            timeout: seconds; 120 by default where the port has streams, else 30.

        Raises:
            CommandFailed: there is none in that format, the session is locked or in the background, or the program
                that has the content does not give it. StreamFailed where it stopped in the middle.
        """
        asked = {"selection": selection, "format": format}
        if self.has_streams:
            return await self._receive(asked, session, wait, timeout)
        command = "session-clipboard-get"
        value = await self.call(command, asked, session=session, wait=wait, timeout=timeout)
        content = read_as(ClipboardContent, command, value)
        if isinstance(content.text, str):
            return content.text.encode()
        return base64_bytes.decode(command, content.data_b64 or "")

    async def clipboard_set(
        self,
        content: str | bytes,
        session: str = ACTIVE,
        *,
        format: str = TEXT,  # noqa: A002 - the command's own word
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Put a content in; it is there until another program sets one, or the session's agent ends.

        Args:
            content: 64 MiB at most, 48 where the port has no streams.
            session: whose clipboard.
            format: a MIME type; `text/plain` is offered to programs under all names of text.
            selection: `clipboard`, or `primary`.
            wait: see `lock`.
            timeout: as for `clipboard_get`.
        """
        asked: dict[str, Any] = {"selection": selection, "format": format}
        data = content.encode() if isinstance(content, str) else content
        if self.has_streams and len(data) > STREAMED_BYTES:
            await self._send(asked, data, session, wait, timeout)
            return
        asked["data-b64"] = base64_bytes.encode(data)
        await self.call("session-clipboard-set", asked, session=session, wait=wait, timeout=timeout)

    async def clipboard_clear(
        self,
        session: str = ACTIVE,
        *,
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Empty it; arguments as for `clipboard_formats`."""
        await self.call(
            "session-clipboard-clear", selection=selection, session=session, wait=wait, timeout=timeout
        )

    async def _receive(
        self, asked: dict[str, Any], session: str, wait: float | None, timeout: float | None
    ) -> bytes:
        command, data = "session-clipboard-download", bytearray()
        with _patience(command, wait, timeout):
            opened = await self.stream(command, asked, session=session, wait=wait)
            async with opened as stream:
                async for piece in stream:
                    data += piece
                await stream.result()
        return bytes(data)

    async def _send(
        self, asked: dict[str, Any], data: bytes, session: str, wait: float | None, timeout: float | None
    ) -> None:
        command = "session-clipboard-upload"
        with _patience(command, wait, timeout):
            opened = await self.stream(command, asked, session=session, wait=wait)
            async with opened as stream:
                await stream.send(data)
                await stream.send_eof()
                await stream.result()


@contextmanager
def _patience(command: str, wait: float | None, timeout: float | None) -> Iterator[None]:
    seconds = (TRANSFER_TIMEOUT if timeout is None else timeout) + (wait or 0.0)
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise CallTimeout(f"{command} was not done within {seconds:g} s")
