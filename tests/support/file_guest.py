# ruff: noqa: PTH101, PTH105, PTH108, PTH115, PTH116, PTH208, PTH211
"""A guest in this process that serves the file commands on real files, and fails as it is told."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from guestmux.errors import CommandFailed, CommandNotFound, ConnectionLost, NoStreams, StreamFailed
from guestmux.forward_calls import ForwardCalls
from guestmux.guest_stream import GuestStream
from guestmux.transfer_calls import TransferCalls

GENERIC = "GenericError"
FRAME = 64 * 1024
TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "char",
}


class FakeStream(GuestStream):
    """The host's end of a stream. The guest's is the same object's `to_guest`, `to_host` and `end`."""

    def __init__(self, guest: FileGuest) -> None:
        self._guest = guest
        self.opened: Any = None
        self.to_guest, self.from_host = anyio.create_memory_object_stream[bytes](8)
        self.to_host, self.from_guest = anyio.create_memory_object_stream[bytes](8)
        self.failure: Exception | None = None
        self.value: Any = None
        self.ended = anyio.Event()

    @property
    def reply(self) -> Any:
        return self.opened

    async def receive(self, max_bytes: int = FRAME) -> bytes:
        try:
            item = await self.from_guest.receive()
        except anyio.EndOfStream:
            if self.failure:
                raise self.failure from None
            raise
        self._guest.count(len(item), self)
        return item

    async def send(self, item: bytes) -> None:
        for begin in range(0, len(item), FRAME):
            frame = item[begin : begin + FRAME]
            self._guest.count(len(frame), self)
            try:
                await self.to_guest.send(frame)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise self.failure or ConnectionLost("the guest hung up") from None

    async def send_eof(self) -> None:
        self.to_guest.close()

    async def result(self) -> Any:
        await self.ended.wait()
        if self.failure:
            raise self.failure
        return self.value

    async def fail(self, desc: str) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for end in (self.to_guest, self.from_host, self.to_host, self.from_guest):
            end.close()

    def end(self, value: Any = None, failure: Exception | None = None) -> None:
        """The guest's last word."""
        self.value, self.failure = value, failure
        self.to_host.close()
        self.from_host.close()
        self.ended.set()


class FileGuest(TransferCalls, ForwardCalls):
    """Paths are this host's.

    Attributes:
        streams: whether the port carries them.
        overrides: command -> a function of its arguments, in place of what is served.
        stream_log: the streams that were opened, with their arguments.
        calls: the calls, with their arguments.
        on_bytes: told of all bytes that went over streams so far; what it raises is what the host's end raises.
        false_checksums: tell wrong ones.
        connect: serves what is connected to; an echo by default.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self.streams = True
        self.overrides: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.stream_log: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.on_bytes: Callable[[int], None] = lambda _: None
        self.bytes = 0
        self.false_checksums = False
        self.connect: Callable[[FakeStream], Coroutine[Any, Any, None]] = echo

    @property
    def concurrent(self) -> bool:
        return True

    @property
    def has_streams(self) -> bool:
        return self.streams

    def count(self, count: int, stream: FakeStream) -> None:
        self.bytes += count
        self.on_bytes(self.bytes)

    def asked(self, command: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.calls + self.stream_log if name == command]

    async def call(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Any:
        given = {**(arguments or {}), **{name.replace("_", "-"): value for name, value in more.items()}}
        self.calls.append((command, given))
        await anyio.lowlevel.checkpoint()
        if command in self.overrides:
            with refusing():
                return self.overrides[command](given)
        served = SERVED.get(command)
        if served is None:
            raise CommandNotFound("CommandNotFound", f"The command {command} has not been found")
        with refusing():
            return served(given)

    async def stream(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        session: str | None = None,
        wait: float | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> GuestStream:
        if not self.streams:
            raise NoStreams("no streams")
        given = {**(arguments or {}), **more}
        self.stream_log.append((command, given))
        await anyio.lowlevel.checkpoint()
        if command in self.overrides:
            self.overrides[command](given)
        if command == "guest-connect":
            stream = FakeStream(self)
            self._tasks.start_soon(self.connect, stream)
            return stream
        flags = os.O_RDONLY if command == "guest-file-download" else os.O_RDWR | os.O_CREAT
        with refusing():
            descriptor = os.open(path_of(given), flags | os.O_NONBLOCK, given.get("mode", 0o666))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise CommandFailed(GENERIC, "no regular file")
        if command == "guest-file-upload":
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise CommandFailed(GENERIC, "another upload is writing it") from None
        stream = FakeStream(self)
        stream.opened = fact(os.fstat(descriptor))
        serve = self._download if command == "guest-file-download" else self._upload
        self._tasks.start_soon(serve, descriptor, given, stream)
        return stream

    async def _download(self, descriptor: int, given: dict[str, Any], stream: FakeStream) -> None:
        digest, count = hashlib.blake2b(), 0
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            for begin, length in given.get("ranges", [[0, 1 << 62]]):
                offset, left = begin, length
                while left and (piece := os.pread(descriptor, min(left, FRAME), offset)):
                    digest.update(piece)
                    offset, left, count = offset + len(piece), left - len(piece), count + len(piece)
                    await stream.to_host.send(piece)
        os.close(descriptor)
        stream.end({"bytes": count, "blake2b": self._told(digest.hexdigest())})

    async def _upload(self, descriptor: int, given: dict[str, Any], stream: FakeStream) -> None:
        if given.get("truncate"):
            os.ftruncate(descriptor, 0)
        digest, count = hashlib.blake2b(), 0
        places = iter(given.get("ranges", [[0, 1 << 62]]))
        offset = left = 0
        failure: Exception | None = None
        try:
            async for item in stream.from_host:
                digest.update(item)
                count += len(item)
                while item:
                    if not left:
                        offset, left = next(places)
                    written = os.pwrite(descriptor, item[:left], offset)
                    item, offset, left = item[written:], offset + written, left - written
        except OSError as error:
            failure = StreamFailed(GENERIC, os.strerror(error.errno or 0), "agent")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            failure = ConnectionLost("gave up")
        finally:
            os.close(descriptor)
        stream.end({"bytes": count, "blake2b": self._told(digest.hexdigest())}, failure)

    def _told(self, checksum: str) -> str:
        return "0" * 128 if self.false_checksums else checksum


async def echo(stream: FakeStream) -> None:
    """Give back what comes, to its end."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for item in stream.from_host:
            await stream.to_host.send(item)
    stream.end()


class refusing:  # noqa: N801 - a context manager
    """Tell an OSError as a guest does."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, OSError):
            raise CommandFailed(GENERIC, error.strerror or str(error)) from error


def path_of(given: Mapping[str, Any], argument: str = "path") -> bytes:
    if f"{argument}-b64" in given:
        return base64.b64decode(given[f"{argument}-b64"])
    return str(given[argument]).encode()


def named(member: str, name: bytes) -> dict[str, str]:
    try:
        return {member: name.decode()}
    except UnicodeDecodeError:
        return {f"{member}-b64": base64.b64encode(name).decode()}


def fact(status: os.stat_result, path: bytes = b"") -> dict[str, Any]:
    link = named("target", os.readlink(path)) if stat.S_ISLNK(status.st_mode) else {}
    return {
        "type": TYPES[stat.S_IFMT(status.st_mode)],
        "size": status.st_size,
        "allocated": status.st_blocks * 512,
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime-ns": status.st_mtime_ns,
        "device": status.st_dev,
        "inode": status.st_ino,
        **link,
    }


def file_stat(given: dict[str, Any]) -> Any:
    path = path_of(given)
    return fact(os.stat(path, follow_symlinks=given.get("follow", True)), path)


def file_list(given: dict[str, Any]) -> Any:
    directory = path_of(given)
    names = sorted(os.listdir(directory))
    after = path_of(given, "after") if {"after", "after-b64"} & set(given) else b""
    names = [name for name in names if name > after]
    page = names[: given.get("limit", 1000)]
    entries = [
        {**named("name", name), **fact(os.lstat(directory + b"/" + name), directory + b"/" + name)}
        for name in page
    ]
    return {"entries": entries, "more": len(page) < len(names)}


def file_extents(given: dict[str, Any]) -> Any:
    descriptor = os.open(path_of(given), os.O_RDONLY)
    try:
        found = list(_extents(descriptor, given.get("offset", 0)))
    finally:
        os.close(descriptor)
    limit = given.get("limit", 4096)
    return {"extents": found[:limit], "more": len(found) > limit}


def _extents(descriptor: int, position: int) -> Iterable[list[int]]:
    size = os.fstat(descriptor).st_size
    while position < size:
        try:
            begin = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            return
        position = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield [begin, position - begin]


def file_checksum(given: dict[str, Any]) -> Any:
    with Path(os.fsdecode(path_of(given))).open("rb") as file:
        file.seek(given.get("offset", 0))
        data = file.read(given.get("length", -1))
    return {"blake2b": hashlib.blake2b(data).hexdigest(), "length": len(data)}


def make_directory(given: dict[str, Any]) -> Any:
    Path(os.fsdecode(path_of(given))).mkdir(given.get("mode", 0o777), exist_ok=given.get("exist-ok", False))
    return {}


def make_symlink(given: dict[str, Any]) -> Any:
    os.symlink(path_of(given, "target"), path_of(given))
    return {}


def rename(given: dict[str, Any]) -> Any:
    os.replace(path_of(given, "from"), path_of(given, "to"))
    return {}


def remove(given: dict[str, Any]) -> Any:
    os.unlink(path_of(given))
    return {}


def set_attributes(given: dict[str, Any]) -> Any:
    path, follow = path_of(given), given.get("follow", True)
    if "uid" in given:
        os.chown(path, given["uid"], given.get("gid", -1), follow_symlinks=follow)
    if "size" in given:
        os.truncate(path, given["size"])
    if "mode" in given:
        os.chmod(path, given["mode"])
    if "mtime-ns" in given:
        os.utime(path, ns=(given["mtime-ns"], given["mtime-ns"]), follow_symlinks=follow)
    return {}


SERVED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "guest-file-stat": file_stat,
    "guest-file-list": file_list,
    "guest-file-extents": file_extents,
    "guest-file-checksum": file_checksum,
    "guest-file-make-directory": make_directory,
    "guest-file-make-symlink": make_symlink,
    "guest-file-rename": rename,
    "guest-file-remove": remove,
    "guest-file-set-attributes": set_attributes,
}


@asynccontextmanager
async def file_guest() -> AsyncIterator[FileGuest]:
    """Run one for as long as the block lasts."""
    async with anyio.create_task_group() as tasks:
        yield FileGuest(tasks)
        tasks.cancel_scope.cancel()
