"""The guest's file commands, typed: what a copy asks of the other end. Paths are bytes, as Linux has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from guestmux.base64_bytes import decode, encode
from guestmux.calling import Calling, read_as
from guestmux.copying import CopyFailed, joined, shown
from guestmux.errors import CommandFailed, UnexpectedReply
from guestmux.guest_stream import GuestStream
from guestmux.local_ranges import Range
from guestmux_protocol.guest.file_facts import (
    MAX_EXTENTS,
    FileChecksum,
    FileEntry,
    FileExtents,
    FileList,
    FileStat,
)

LISTED = 1000
"""Entries of a directory that are asked for at once."""

MAX_LINKS = 40
"""Symbolic links that are followed one after the other, as in the kernel (path_resolution(7))."""

LARGEST = (1 << 63) - 1
"""Bytes of the largest file (off_t)."""

NOT_THERE = "No such file or directory"
"""What the guest says of what is not there (ENOENT)."""


@dataclass
class RemoteFiles:
    """The files of one agent.

    Attributes:
        guest: where the agent is.
        session: whose; the system agent's where None.
        wait: seconds to wait for the agent to register.
        timeout: seconds for each call.
    """

    guest: Calling
    session: str | None = None
    wait: float | None = None
    timeout: float | None = None

    async def stat(self, path: bytes, *, follow: bool = True) -> FileStat:
        """What is called so."""
        value = await self._call("guest-file-stat", _path(path), follow=follow)
        return read_as(FileStat, "guest-file-stat", value)

    async def look(self, path: bytes, *, follow: bool = True) -> FileStat | None:
        """What is called so; None where nothing is."""
        try:
            return await self.stat(path, follow=follow)
        except CommandFailed as error:
            if NOT_THERE not in error.desc:
                raise
            return None

    async def followed(self, path: bytes) -> bytes:
        """The path of what a symbolic link links to, at last; the path itself where it is none."""
        for _ in range(MAX_LINKS):
            found = await self.look(path, follow=False)
            if found is None or found.type != "symlink":
                return path
            path = joined(path.rpartition(b"/")[0] or b"/", link_target(found))
        raise CopyFailed(f"{shown(path)}: too many symbolic links")

    async def entries(self, path: bytes) -> AsyncIterator[FileEntry]:
        """What a directory has, sorted by name; only some of it is in memory at a time."""
        after: dict[str, Any] = {}
        while True:
            arguments = {**_path(path), **after, "limit": LISTED}
            page = read_as(FileList, "guest-file-list", await self._call("guest-file-list", arguments))
            for entry in page.entries:
                yield entry
            if not page.more:
                return
            if not page.entries:
                raise UnexpectedReply(
                    f"the guest lists nothing more of {shown(path)}, and says there is more"
                )
            after = _named("after", entry_name(page.entries[-1]))

    async def ranges(self, path: bytes, offset: int, limit: int = MAX_EXTENTS) -> tuple[list[Range], bool]:
        """Where a file has data, from `offset` on; and whether there is more."""
        arguments = {**_path(path), "offset": offset, "limit": limit}
        reply = read_as(FileExtents, "guest-file-extents", await self._call("guest-file-extents", arguments))
        return checked_ranges(reply.extents, offset), reply.more

    async def checksum(self, path: bytes, offset: int, length: int) -> tuple[str, int]:
        """blake2b of a range, and of how many bytes it is."""
        value = await self._call("guest-file-checksum", {**_path(path), "offset": offset, "length": length})
        reply = read_as(FileChecksum, "guest-file-checksum", value)
        return reply.blake2b, reply.length

    async def make_directory(self, path: bytes, mode: int) -> None:
        """Make a directory, where there is none yet."""
        await self._call("guest-file-make-directory", {**_path(path), "mode": mode, "exist-ok": True})

    async def make_symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link."""
        await self._call("guest-file-make-symlink", {**_path(path), **_named("target", target)})

    async def rename(self, path: bytes, new: bytes) -> None:
        """Give another name, in place of what has it."""
        await self._call("guest-file-rename", {**_named("from", path), **_named("to", new)})

    async def remove(self, path: bytes) -> None:
        """Remove a file."""
        await self._call("guest-file-remove", _path(path))

    async def set_attributes(self, path: bytes, **attributes: int | bool | None) -> None:
        """Give attributes: `mode`, `mtime_ns`, `uid`, `gid`, `size`, `follow`; those that are None stay."""
        given = {name.replace("_", "-"): value for name, value in attributes.items() if value is not None}
        if given:
            await self._call("guest-file-set-attributes", {**_path(path), **given})

    async def download(self, path: bytes, ranges: Sequence[Range] | None, *, checksum: bool) -> GuestStream:
        """Have some ranges of a file sent; all of it where None."""
        return await self._stream("guest-file-download", path, ranges, checksum=checksum)

    async def upload(
        self, path: bytes, ranges: Sequence[Range] | None, *, mode: int, truncate: bool, checksum: bool
    ) -> GuestStream:
        """Have some ranges of a file written; all of it where None."""
        options = {"mode": mode, "truncate": truncate, "checksum": checksum}
        return await self._stream("guest-file-upload", path, ranges, **options)

    async def _call(self, command: str, arguments: dict[str, Any], **more: Any) -> Any:
        return await self.guest.call(
            command, arguments, session=self.session, wait=self.wait, timeout=self.timeout, **more
        )

    async def _stream(
        self, command: str, path: bytes, ranges: Sequence[Range] | None, **options: Any
    ) -> GuestStream:
        arguments = {**_path(path), **options}
        if ranges is not None:
            arguments["ranges"] = [list(part) for part in ranges]
        return await self.guest.stream(
            command, arguments, session=self.session, wait=self.wait, timeout=self.timeout
        )


def entry_name(untrusted_entry: FileEntry) -> bytes:
    """The name of a directory's entry, not checked.

    Raises:
        UnexpectedReply: it has none.
    """
    return _either("guest-file-list", untrusted_entry.name, untrusted_entry.name_b64)


def link_target(untrusted_found: FileStat | FileEntry) -> bytes:
    """What a symbolic link says.

    Raises:
        UnexpectedReply: it says nothing, or what no link can.
    """
    target = _either("guest-file-stat", untrusted_found.target, untrusted_found.target_b64)
    if not target or b"\0" in target:
        raise UnexpectedReply(f"the guest gives a link's target that is none: {target!r}")
    return target


def checked_ranges(untrusted_ranges: Sequence[Sequence[int]], begin: int) -> list[Range]:
    """Ranges as a guest tells them, where they ascend.

    Raises:
        UnexpectedReply: they do not.
    """
    ranges: list[Range] = []
    end = begin
    for untrusted_range in untrusted_ranges:
        offset, length = untrusted_range if len(untrusted_range) == 2 else (-1, 0)
        if offset < end or length <= 0 or offset + length > LARGEST:
            raise UnexpectedReply("the guest's answer to guest-file-extents: its ranges do not ascend")
        ranges.append((offset, length))
        end = offset + length
    return ranges


def _either(command: str, text: str | UnsetType, base64: str | UnsetType) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(base64, str):
        return decode(command, base64)
    raise UnexpectedReply(f"the guest's answer to {command}: there is no name")


def _path(path: bytes) -> dict[str, Any]:
    return _named("path", path)


def _named(argument: str, path: bytes) -> dict[str, Any]:
    """A path as an argument: as text, or in base64 where it is none."""
    try:
        return {argument: path.decode()}
    except UnicodeDecodeError:
        return {f"{argument}-b64": encode(path)}
