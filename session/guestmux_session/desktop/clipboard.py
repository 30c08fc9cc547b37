"""session-clipboard-list, -get, -set, -clear, -download, -upload: the session's clipboards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress

from msgspec import UNSET

from guestmux_protocol.clipboard_commands import (
    CLIPBOARD,
    MAX_CONTENT,
    MAX_INLINE,
    ClipboardContent,
    ClipboardFormats,
    ClipboardMoved,
    ClipboardOpened,
    Selection,
    SessionClipboardClear,
    SessionClipboardDownload,
    SessionClipboardGet,
    SessionClipboardList,
    SessionClipboardSet,
    SessionClipboardUpload,
)
from guestmux_session.declarations import command_of
from guestmux_session.desktop.clipboard_formats import Content, from_program, is_name, is_text
from guestmux_session.desktop.clipboard_guard import ClipboardGuard
from guestmux_session.desktop.clipboard_source import ClipboardSource, NotOffered
from guestmux_session.desktop.clipboard_sources import ClipboardSources
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.desktop.held_contents import HeldContents
from guestmux_session.errors import CommandError
from guestmux_session.streams import ServedStream, stream_of
from guestmux_session.verbs.base64_text import decoded, encoded
from guestmux_session.verbs.turns import Turns

MAX_MOVES = 4
"""Contents that go to or come from hosts at a time, each in memory as a whole."""

_SHOWN = 16
"""Formats that a message names."""


class Clipboard:
    """Serves what is about the clipboards.

    Args:
        sources: where they are.
        contents: what the agent has put into them.
        guard: says when they may be touched.

    Attributes:
        name: as session-get-info shows it.
    """

    name = "clipboard"

    def __init__(self, sources: ClipboardSources, contents: HeldContents, guard: ClipboardGuard) -> None:
        self._sources = sources
        self._contents = contents
        self._guard = guard
        self._turns = Turns(MAX_MOVES, "contents of the clipboard")

    async def state(self) -> str:
        """Which source there is, or why none."""
        try:
            async with self._sources.open() as source:
                return source.name
        except DisplayError as error:
            return str(error)

    @command_of(CLIPBOARD["session-clipboard-list"])
    async def formats(self, asked: SessionClipboardList) -> ClipboardFormats:
        """Tell which there are."""
        async with self._allowed() as source:
            offered = await source.offered(asked.selection)
            sizes = self._contents.sizes(asked.selection)
            return ClipboardFormats(formats=offered.formats, sizes=sizes, truncated=offered.truncated)

    @command_of(CLIPBOARD["session-clipboard-get"])
    async def get(self, asked: SessionClipboardGet) -> ClipboardContent:
        """Give it whole."""
        with self._turns.taken():
            async with self._read(asked.selection, asked.format, MAX_INLINE) as pieces:
                data = b"".join([piece async for piece in pieces])
        return _content(asked.format, data)

    @command_of(CLIPBOARD["session-clipboard-set"])
    async def set(self, asked: SessionClipboardSet) -> None:
        """Take it whole."""
        if (asked.text is UNSET) == (asked.data_b64 is UNSET):
            raise CommandError("give exactly one of 'text' and 'data-b64'")
        data = asked.text.encode() if asked.text is not UNSET else decoded(asked.data_b64 or "")
        await self._put(asked.selection, asked.format, data)

    @command_of(CLIPBOARD["session-clipboard-clear"])
    async def clear(self, asked: SessionClipboardClear) -> None:
        """Empty it."""
        async with self._allowed() as source:
            self._contents.drop(asked.selection)
            await source.clear(asked.selection)

    @stream_of(CLIPBOARD["session-clipboard-download"])
    async def download(self, asked: SessionClipboardDownload, stream: ServedStream) -> ClipboardMoved:
        """Give it as it comes; the program that has it is not asked for more than the host takes."""
        count = 0
        with self._turns.taken():
            async with self._read(asked.selection, asked.format, MAX_CONTENT) as pieces:
                await stream.accept(ClipboardOpened(format=asked.format))
                async for piece in pieces:
                    await stream.send(piece)
                    count += len(piece)
        return ClipboardMoved(bytes=count)

    @stream_of(CLIPBOARD["session-clipboard-upload"])
    async def upload(self, asked: SessionClipboardUpload, stream: ServedStream) -> ClipboardMoved:
        """Take it piece by piece."""
        data = bytearray()
        with self._turns.taken():
            await self._guard.check()
            await stream.accept(ClipboardOpened(format=asked.format))
            async for piece in stream:
                data += piece
                _check_size(len(data), MAX_CONTENT)
            await self._put(asked.selection, asked.format, bytes(data))
        return ClipboardMoved(bytes=len(data))

    @asynccontextmanager
    async def _allowed(self) -> AsyncIterator[ClipboardSource]:
        await self._guard.check()
        with _told():
            async with self._sources.open() as source:
                yield source

    @asynccontextmanager
    async def _read(
        self, selection: Selection, untrusted_format: str, limit: int
    ) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        """The content's pieces; what they raise is for hosts."""
        async with self._allowed() as source:
            offered = await source.offered(selection)
            name = offered.name_of(untrusted_format)
            if name is None and not (offered.truncated and is_name(untrusted_format)):
                raise CommandError(_not_there(untrusted_format, offered.formats))
            pieces = _pieces(source, selection, name or untrusted_format, limit)
            async with aclosing(pieces):
                yield pieces

    async def _put(self, selection: Selection, untrusted_format: str, data: bytes) -> None:
        if not is_name(untrusted_format):
            raise CommandError("a format is a MIME type, as text/html")
        _check_size(len(data), MAX_CONTENT)
        await self._guard.check()
        with _told():
            await self._contents.put(selection, Content(untrusted_format, data))


async def _pieces(
    source: ClipboardSource, selection: Selection, name: str, limit: int
) -> AsyncGenerator[bytes, None]:
    count = 0
    async with aclosing(source.read(selection, name)) as pieces:
        async for piece in pieces:
            count += len(piece)
            _check_size(count, limit)
            yield from_program(name, piece)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        hint = "; session-clipboard-download gives more" if limit < MAX_CONTENT else ""
        raise CommandError(f"the content has more than {limit >> 20} MiB{hint}")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotOffered as error:
        raise CommandError(str(error)) from error
    except DisplayError as error:
        raise CommandError(f"the clipboard cannot be reached: {error}") from error


def _content(untrusted_format: str, data: bytes) -> ClipboardContent:
    text: str | None = None
    if is_text(untrusted_format):
        with suppress(UnicodeDecodeError):
            text = data.decode()
    if text is None:
        return ClipboardContent(format=untrusted_format, size=len(data), data_b64=encoded(data))
    return ClipboardContent(format=untrusted_format, size=len(data), text=text)


def _not_there(untrusted_format: str, formats: list[str]) -> str:
    if not formats:
        return "there is no content"
    shown = ", ".join(formats[:_SHOWN]) + (", ..." if len(formats) > _SHOWN else "")
    return f"there is no content as '{untrusted_format[:100]}', but as {shown}"
