"""`Guest.download` and `upload`: whole, broken, resumed, hostile. The guest is in this process, its files are real."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux.copying import (
    ChecksumMismatch,
    CopyFailed,
    CopyFailure,
    CopyIncomplete,
    CopyWatcher,
    LocalFileError,
    part_name,
)
from guestmux.errors import (
    CallTimeout,
    CommandDisabled,
    CommandFailed,
    ConnectionLost,
    NoStreams,
    StreamFailed,
    UnexpectedReply,
)
from guestmux.local_directory import LocalDirectory
from guestmux.local_part import LocalPart
from tests.support.file_guest import FileGuest, file_guest, file_stat

pytestmark = pytest.mark.anyio

BIG = 5_000_000
"""Bytes: several pieces, the last one not full."""


@pytest.fixture
async def guest(anyio_backend: str) -> AsyncIterator[FileGuest]:
    async with file_guest() as guest:
        yield guest


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    return path


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "guest"
    path.mkdir()
    return path


class Watcher(CopyWatcher):
    """Remembers."""

    def __init__(self) -> None:
        self.sizes: dict[str, int | None] = {}
        self.counts: dict[str, int] = {}
        self.left: list[tuple[str, str, int]] = []
        self.skips: list[tuple[str, str]] = []
        self.failures: list[CopyFailure] = []

    def began(self, path: str, size: int | None) -> None:
        self.sizes[path], self.counts[path] = size, 0

    def moved(self, path: str, count: int) -> None:
        self.counts[path] += count

    def kept(self, path: str, part: str, count: int) -> None:
        self.left.append((path, part, count))

    def skipped(self, path: str, what: str) -> None:
        self.skips.append((path, what))

    def failed(self, failure: CopyFailure) -> None:
        self.failures.append(failure)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Cut(Exception):
    """Stands for what ends a copy from outside."""


class Breaker:
    """Ends the host's side after so many bytes."""

    def __init__(self, after: int, error: Exception) -> None:
        self.after, self.error = after, error

    def __call__(self, count: int) -> None:
        if count > self.after:
            raise self.error


async def test_a_file_both_ways(guest: FileGuest, here: Path, there: Path) -> None:
    content = os.urandom(BIG)
    (there / "big").write_bytes(content)
    watcher = Watcher()
    report = await guest.download(str(there / "big"), here / "copy", watcher=watcher)
    assert (report.files, report.bytes, names(here)) == (1, BIG, ["copy"])
    assert (here / "copy").read_bytes() == content
    assert watcher.sizes == watcher.counts == {str(there / "big"): BIG}
    report = await guest.upload(here / "copy", str(there / "back"), watcher=watcher)
    assert (report.files, report.bytes, names(there)) == (1, BIG, ["back", "big"])
    assert (there / "back").read_bytes() == content
    assert watcher.sizes == watcher.counts


@pytest.mark.parametrize("size", [0, 1, 65536, 1024 * 1024, 1024 * 1024 + 1])
async def test_sizes(guest: FileGuest, here: Path, there: Path, size: int) -> None:
    content = os.urandom(size)
    (there / "a").write_bytes(content)
    await guest.download(str(there / "a"), here)
    await guest.upload(here / "a", str(there / "b"))
    assert (there / "b").read_bytes() == content


async def test_one_of_the_kernels_files_has_no_size(guest: FileGuest, here: Path, there: Path) -> None:
    await guest.download("/proc/self/mounts", here)
    assert (here / "mounts").read_bytes()
    await guest.upload("/proc/self/mounts", str(there))
    assert (there / "mounts").read_bytes()


async def test_a_directory_is_a_place(guest: FileGuest, here: Path, there: Path) -> None:
    (there / "a").write_text("new")
    await guest.download(str(there / "a"), here)
    assert names(here) == ["a"]
    (there / "in").mkdir()
    await guest.upload(here / "a", str(there / "in"))
    await guest.upload(here / "a", f"{there}/in/")
    assert names(there / "in") == ["a"]
    with pytest.raises(LocalFileError, match="is no directory"):
        await guest.download(str(there / "a"), f"{here}/nosuch/")
    (here / "a").unlink()
    (here / "a").mkdir()
    with pytest.raises(LocalFileError, match="is a directory"):
        await guest.download(str(there / "a"), here)


async def test_a_link_that_the_user_names_is_followed(guest: FileGuest, here: Path, there: Path) -> None:
    (there / "a").write_text("new")
    for directory in (here, there):
        (directory / "file").write_text("old")
        (directory / "link").symlink_to("file")
    await guest.download(str(there / "a"), here / "link")
    await guest.upload(there / "a", str(there / "link"))
    for directory in (here, there):
        assert (directory / "link").is_symlink()
        assert (directory / "file").read_text() == "new"


async def test_a_link_in_a_directory_that_the_user_names_is_replaced(
    guest: FileGuest, here: Path, there: Path
) -> None:
    (there / "a").write_text("new")
    (here / "precious").write_text("old")
    (here / "in").mkdir()
    (here / "in/a").symlink_to("../precious")
    await guest.download(str(there / "a"), here / "in")
    assert not (here / "in/a").is_symlink()
    assert (here / "precious").read_text() == "old"


async def test_modes(guest: FileGuest, here: Path, there: Path) -> None:
    (there / "tool").write_text("new")
    (there / "tool").chmod(0o4755)
    await guest.download(str(there / "tool"), here)
    assert stat.S_IMODE((here / "tool").stat().st_mode) == 0o755 & ~current_umask(), "nobody's setuid program"
    (here / "kept").write_text("old")
    (here / "kept").chmod(0o640)
    await guest.download(str(there / "tool"), here / "kept")
    assert stat.S_IMODE((here / "kept").stat().st_mode) == 0o640
    (there / "kept").write_text("old")
    (there / "kept").chmod(0o604)
    await guest.upload(here / "tool", str(there / "kept"))
    assert stat.S_IMODE((there / "kept").stat().st_mode) == 0o604


def current_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


async def test_preserve(guest: FileGuest, here: Path, there: Path) -> None:
    (there / "a").write_text("x")
    (there / "a").chmod(0o4751)
    os.utime(there / "a", ns=(1, 1_234_567_890_123_456_789))
    await guest.download(str(there / "a"), here, preserve=True)
    await guest.upload(here / "a", str(there / "b"), preserve=True)
    for path in (here / "a", there / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o751
        assert path.stat().st_mtime_ns == 1_234_567_890_123_456_789


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_owners(guest: FileGuest, here: Path, there: Path) -> None:
    (there / "a").write_text("x")
    os.chown(there / "a", 1234, 1235)
    await guest.download(str(there / "a"), here, preserve=True)
    assert ((here / "a").stat().st_uid, (here / "a").stat().st_gid) == (1234, 1235)
    await guest.upload(here / "a", str(there / "b"), preserve=True)
    assert (there / "b").stat().st_uid == 1234
    await guest.upload(here / "a", str(there / "c"))
    assert (there / "c").stat().st_uid == 0
    await guest.upload(there / "c", str(there / "a"))
    assert (there / "a").stat().st_uid == 1234, "what is replaced keeps its owner"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_an_agent_that_may_not_give_files_away(guest: FileGuest, here: Path, there: Path) -> None:
    (here / "a").write_text("x")
    os.chown(here / "a", 1234, 1234)
    served: list[dict[str, Any]] = []

    def set_attributes(given: dict[str, Any]) -> Any:
        served.append(given)
        if "uid" in given:
            raise CommandFailed("GenericError", "Operation not permitted")
        return {}

    guest.overrides["guest-file-set-attributes"] = set_attributes
    await guest.upload(here / "a", str(there / "a"), preserve=True)
    assert ["uid" in given for given in served] == [True, False]


def punched(path: Path) -> bytes:
    """A file with data, a hole, data, and a hole at its end."""
    with path.open("wb") as file:
        file.write(b"a" * 100_000)
        file.seek(20_000_000)
        file.write(b"b" * 100_000)
        file.truncate(40_000_000)
    return path.read_bytes()


async def test_holes(guest: FileGuest, here: Path, there: Path) -> None:
    content = punched(there / "image")
    watcher = Watcher()
    report = await guest.download(str(there / "image"), here, watcher=watcher)
    assert report.bytes < 1_000_000
    report = await guest.upload(here / "image", str(there / "back"), watcher=watcher)
    assert report.bytes < 1_000_000
    for path in (here / "image", there / "back"):
        assert path.read_bytes() == content
        assert path.stat().st_blocks * 512 < 1_000_000
    assert set(watcher.counts.values()) == {40_000_000}, "holes count as done"
    report = await guest.download(str(there / "image"), here, sparse=False)
    assert report.bytes == 40_000_000
    (there / "empty").touch()
    os.truncate(there / "empty", 1 << 30)
    assert (await guest.download(str(there / "empty"), here)).bytes == 0
    assert (await guest.upload(here / "empty", str(there / "up"))).bytes == 0
    assert (there / "up").stat().st_size == 1 << 30


async def test_more_holes_than_one_answer_tells(
    guest: FileGuest, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (there / "image").open("wb") as file:
        for number in range(7):
            file.seek(number * 1_000_000)
            file.write(b"x" * 5000)
    monkeypatch.setattr("guestmux.remote_files.RemoteFiles.ranges.__defaults__", (2,))
    monkeypatch.setattr("guestmux.upload.MAX_EXTENTS", 2)
    await guest.download(str(there / "image"), here)
    await guest.upload(here / "image", str(there / "up"))
    for path in (here / "image", there / "up"):
        assert path.read_bytes() == (there / "image").read_bytes()
    assert len(guest.asked("guest-file-download")) == len(guest.asked("guest-file-upload")) == 4


@pytest.mark.parametrize("extents", [[[5, 1], [0, 1]], [[0, 0]], [[-5, 9]], [[0]], [[1, 1 << 63]], []])
async def test_extents_that_are_none(guest: FileGuest, here: Path, there: Path, extents: Any) -> None:
    punched(there / "image")
    guest.overrides["guest-file-extents"] = lambda _: {"extents": extents, "more": True}
    with pytest.raises(UnexpectedReply):
        await guest.download(str(there / "image"), here)
    assert names(here) == []


async def test_extents_beyond_the_end_are_not_followed(guest: FileGuest, here: Path, there: Path) -> None:
    punched(there / "image")
    beyond = (there / "image").stat().st_size + 5
    asked: list[int] = []

    def extents(given: dict[str, Any]) -> Any:
        asked.append(given["offset"])
        assert len(asked) < 5
        return {"extents": [[max(beyond, given["offset"]), 1]], "more": True}

    guest.overrides["guest-file-extents"] = extents
    await guest.download(str(there / "image"), here)
    assert asked == [0]
    assert (here / "image").stat().st_size == (there / "image").stat().st_size


class TestWhatIsBroken:
    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_the_guest_goes_half_way_and_the_copy_resumes(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        content = os.urandom(BIG)
        (source / "big").write_bytes(content)
        (directory / "big").write_bytes(b"old")
        guest.on_bytes = Breaker(3_000_000, ConnectionLost("the guest hung up"))
        watcher = Watcher()
        with pytest.raises(ConnectionLost):
            await self.copy(guest, here, there, to_guest, watcher=watcher)
        part = directory / ".big.guestmux-part"
        assert names(directory) == [part.name, "big"]
        assert (directory / "big").read_bytes() == b"old", "a broken copy never looks whole"
        [(_, told, count)] = watcher.left
        assert told == str(part)
        assert count > 0
        await anyio.wait_all_tasks_blocked()
        there_already = part.stat().st_size
        assert part.read_bytes() == content[:there_already]

        guest.on_bytes = lambda _: None
        watcher = Watcher()
        report = await self.copy(guest, here, there, to_guest, watcher=watcher, resume=True)
        assert report.bytes == BIG - there_already, "only the rest went over the wire"
        assert names(directory) == ["big"]
        assert (directory / "big").read_bytes() == content
        assert list(watcher.counts.values()) == [BIG]

    @staticmethod
    async def copy(guest: FileGuest, here: Path, there: Path, to_guest: bool, **how: Any) -> Any:
        if to_guest:
            return await guest.upload(here / "big", str(there / "big"), **how)
        return await guest.download(str(there / "big"), here / "big", **how)

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_part_of_another_file_is_not_used(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        content = os.urandom(BIG)
        (source / "big").write_bytes(content)
        (directory / ".big.guestmux-part").write_bytes(b"x" * (BIG + 1000))
        report = await self.copy(guest, here, there, to_guest, resume=True)
        assert report.bytes == BIG
        assert (directory / "big").read_bytes() == content

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_what_is_left_is_used_as_far_as_it_is_right(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("guestmux.agreement.COMPARED", 1_000_000)
        source, directory = (here, there) if to_guest else (there, here)
        content = os.urandom(BIG)
        (source / "big").write_bytes(content)
        (directory / ".big.guestmux-part").write_bytes(content[:2_500_000] + b"?" * 1_000_000)
        report = await self.copy(guest, here, there, to_guest, resume=True)
        assert report.bytes == BIG - 2_000_000
        assert (directory / "big").read_bytes() == content

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_whole_part_only_gets_its_name(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        content = os.urandom(BIG)
        (source / "big").write_bytes(content)
        (directory / ".big.guestmux-part").write_bytes(content)
        assert (await self.copy(guest, here, there, to_guest, resume=True)).bytes == 0
        assert (directory / "big").read_bytes() == content
        assert names(directory) == ["big"]
        (directory / "big").rename(directory / ".big.guestmux-part")
        assert (await self.copy(guest, here, there, to_guest, resume=True, sparse=False)).bytes == 0
        assert (directory / "big").read_bytes() == content

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_whole_file_is_not_sent_again(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        for directory in (here, there):
            (directory / "big").write_bytes(b"x" * BIG)
        assert (await self.copy(guest, here, there, to_guest, resume=True)).bytes == 0
        source = here if to_guest else there
        (source / "big").write_bytes(b"y" * BIG)
        assert (await self.copy(guest, here, there, to_guest, resume=True)).bytes == BIG
        assert (here / "big").read_bytes() == (there / "big").read_bytes()

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_sparse_one_resumes(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        content = punched(source / "big")
        (directory / ".big.guestmux-part").write_bytes(content[:10_000_000])
        report = await self.copy(guest, here, there, to_guest, resume=True)
        assert report.bytes < 200_000
        assert (directory / "big").read_bytes() == content

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_wrong_checksums(self, guest: FileGuest, here: Path, there: Path, to_guest: bool) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        (source / "big").write_bytes(b"x" * BIG)
        guest.false_checksums = True
        with pytest.raises(ChecksumMismatch):
            await self.copy(guest, here, there, to_guest)
        assert names(directory) == [], "what is wrong is no part to go on with"
        await self.copy(guest, here, there, to_guest, checksum=False)
        assert (directory / "big").read_bytes() == b"x" * BIG

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_two_copies_to_one_target(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        (source / "big").write_bytes(b"x" * BIG)
        outcomes: list[Any] = []

        async def copy() -> None:
            try:
                outcomes.append(await self.copy(guest, here, there, to_guest))
            except (CopyFailed, CommandFailed) as error:
                outcomes.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(copy)
            tasks.start_soon(copy)
        assert any(not isinstance(outcome, str) for outcome in outcomes), outcomes
        assert (directory / "big").read_bytes() == b"x" * BIG
        assert names(directory) == ["big"]

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_cancelled_one_leaves_its_part(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool
    ) -> None:
        source, directory = (here, there) if to_guest else (there, here)
        (source / "big").write_bytes(b"x" * BIG)
        watcher = Watcher()
        with anyio.CancelScope() as scope:
            guest.on_bytes = lambda count: scope.cancel() if count > 3_000_000 else None
            await self.copy(guest, here, there, to_guest, watcher=watcher)
        assert scope.cancelled_caught
        assert names(directory) == [".big.guestmux-part"]
        assert len(watcher.left) == 1

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_a_guest_that_stops(
        self, guest: FileGuest, here: Path, there: Path, to_guest: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = here if to_guest else there
        (source / "big").write_bytes(b"x" * BIG)
        stalled = anyio.Event()

        async def stall(*_: Any) -> None:
            await stalled.wait()

        monkeypatch.setattr(guest, "_upload", stall)
        monkeypatch.setattr(guest, "_download", stall)
        with pytest.raises(CallTimeout, match=r"for 0.1 s"):
            await self.copy(guest, here, there, to_guest, timeout=0.1)
        stalled.set()

    async def test_a_full_disk_here(self, guest: FileGuest, here: Path, there: Path) -> None:
        (there / "big").write_bytes(b"x" * BIG)
        with file_size_limit(2_000_000), pytest.raises(LocalFileError, match="File too large"):
            await self.copy(guest, here, there, to_guest=False)
        assert (here / ".big.guestmux-part").stat().st_size <= 2_000_000
        assert (await self.copy(guest, here, there, to_guest=False, resume=True)).bytes < BIG
        assert (here / "big").stat().st_size == BIG

    async def test_a_full_disk_there(self, guest: FileGuest, here: Path, there: Path) -> None:
        (here / "big").write_bytes(b"x" * BIG)
        with file_size_limit(2_000_000), pytest.raises(StreamFailed, match="File too large"):
            await self.copy(guest, here, there, to_guest=True)
        assert names(there) == [".big.guestmux-part"]

    async def test_it_becomes_shorter_while_it_is_sent(
        self, guest: FileGuest, here: Path, there: Path
    ) -> None:
        (here / "big").write_bytes(b"x" * BIG)

        def shorten(count: int) -> None:
            os.truncate(here / "big", 1000)

        guest.on_bytes = shorten
        with pytest.raises(CopyFailed, match="became shorter"):
            await self.copy(guest, here, there, to_guest=True)
        assert names(there) == [".big.guestmux-part"]

    async def test_somebody_takes_the_part(self, guest: FileGuest, here: Path, there: Path) -> None:
        for directory in (here, there):
            (directory / "big").write_bytes(b"x" * BIG)
        guest.on_bytes = lambda _: (here / ".big.guestmux-part").unlink(missing_ok=True)
        with pytest.raises(LocalFileError, match="took it away"):
            await self.copy(guest, here, there, to_guest=False)
        guest.on_bytes = lambda _: (there / ".big.guestmux-part").unlink(missing_ok=True)
        with pytest.raises((CopyFailed, CommandFailed)):
            await self.copy(guest, here, there, to_guest=True)
        assert (here / "big").read_bytes() == b"x" * BIG

    async def test_a_file_that_grows_is_not_followed(self, guest: FileGuest, here: Path, there: Path) -> None:
        (there / "big").write_bytes(b"x" * BIG)

        def grow(_: int) -> None:
            with (there / "big").open("ab") as file:
                file.write(b"y" * 1_000_000)

        guest.on_bytes = grow
        assert (await self.copy(guest, here, there, to_guest=False)).bytes == BIG
        assert (here / "big").read_bytes() == b"x" * BIG

    async def test_more_comes_than_was_asked_for(self, guest: FileGuest, here: Path, there: Path) -> None:
        (there / "big").write_bytes(b"x" * BIG)
        (here / ".big.guestmux-part").write_bytes(b"x" * 1_000_000)
        guest.overrides["guest-file-download"] = lambda given: given.pop("ranges", None)
        with pytest.raises(CopyFailed, match="more than was asked for"):
            await self.copy(guest, here, there, to_guest=False, resume=True)

    async def test_nothing_is_left_of_nothing(self, guest: FileGuest, here: Path, there: Path) -> None:
        def refuse(_: dict[str, Any]) -> Any:
            raise CommandFailed("GenericError", "Permission denied")

        for directory in (here, there):
            (directory / "big").write_bytes(b"x" * BIG)
        guest.overrides.update({"guest-file-download": refuse, "guest-file-upload": refuse})
        for to_guest in (False, True):
            with pytest.raises(CommandFailed, match="Permission denied"):
                await self.copy(guest, here, there, to_guest)
        assert names(here) == names(there) == ["big"]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may get longer, as on a disk that is full. Python ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestPieces:
    @staticmethod
    async def pieces(*given: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
        for piece in given:
            yield piece
        if error is not None:
            raise error

    async def test_what_comes_in_pieces(self, guest: FileGuest, there: Path) -> None:
        report = await guest.upload(self.pieces(b"a" * 100_000, b"b"), str(there / "new"))
        assert (report.files, report.bytes) == (1, 100_001)
        assert (there / "new").read_bytes() == b"a" * 100_000 + b"b"
        (there / "new").chmod(0o640)
        (there / "link").symlink_to("new")
        await guest.upload(self.pieces(), str(there / "link"), checksum=False)
        assert ((there / "new").read_bytes(), stat.S_IMODE((there / "new").stat().st_mode)) == (b"", 0o640)
        with pytest.raises(CopyFailed, match="is a directory"):
            await guest.upload(self.pieces(), str(there))
        guest.streams = False
        with pytest.raises(NoStreams):
            await guest.upload(self.pieces(), str(there / "new"))

    async def test_nothing_is_left_of_a_broken_one(self, guest: FileGuest, there: Path) -> None:
        (there / "old").write_text("old")
        with pytest.raises(LocalFileError):
            await guest.upload(self.pieces(b"x" * 500_000, error=LocalFileError("gone")), str(there / "old"))
        guest.false_checksums = True
        with pytest.raises(ChecksumMismatch):
            await guest.upload(self.pieces(b"x" * 500_000), str(there / "old"))
        assert names(there) == ["old"]
        assert (there / "old").read_text() == "old"


class TestParts:
    def test_a_name_that_is_long(self) -> None:
        assert part_name(b"a") == b".a.guestmux-part"
        longest = part_name(b"x" * 255)
        assert len(longest) == 255
        assert longest != part_name(b"x" * 254 + b"y")

    def test_one_that_somebody_else_made(self, tmp_path: Path) -> None:
        part = tmp_path / ".a.guestmux-part"
        (tmp_path / "precious").write_text("precious")
        with LocalDirectory.open(os.fsencode(tmp_path)) as directory:
            part.symlink_to("precious")
            with pytest.raises(LocalFileError):
                LocalPart.open(directory, b"a", keep=False)
            part.unlink()
            os.mkfifo(part)
            with pytest.raises(CopyFailed, match="not ours"):
                LocalPart.open(directory, b"a", keep=False)
            part.unlink()
            os.link(tmp_path / "precious", part)
            with pytest.raises(CopyFailed, match="not ours"):
                LocalPart.open(directory, b"a", keep=False)
        assert (tmp_path / "precious").read_text() == "precious"

    def test_one_that_is_finished_between_opening_and_locking(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with LocalDirectory.open(os.fsencode(tmp_path)) as directory:
            first = LocalPart.open(directory, b"a", keep=False)
            first.write(0, [b"first"])
            lock = LocalPart._lock

            def finish_then_lock(part: LocalPart) -> None:
                monkeypatch.setattr(LocalPart, "_lock", lock)
                first.finish(mode=0o600)
                lock(part)

            monkeypatch.setattr(LocalPart, "_lock", finish_then_lock)
            second = LocalPart.open(directory, b"a", keep=False)
            assert (tmp_path / "a").read_bytes() == b"first", "what is whole is not written to"
            second.discard()


def tree(root: Path) -> dict[str, str]:
    """All that is in a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        what = str(path.readlink()) if path.is_symlink() else "/" if path.is_dir() else path.read_text()
        found[str(path.relative_to(root))] = what
    return found


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    root = tmp_path / "sample"
    (root / "a/deep/er").mkdir(parents=True)
    (root / "empty").mkdir()
    for number in range(30):
        (root / f"a/{number}").write_text(f"text {number}" * number)
    (root / "a/deep/er/file").write_text("deep")
    (root / "link").symlink_to("a/deep")
    (root / "dangling").symlink_to("/no/such")
    (root / os.fsdecode(b"\xff\xfe")).write_text("no UTF-8")
    (root / os.fsdecode(b"l\xff")).symlink_to(os.fsdecode(b"t\xff"))
    return root


class TestTrees:
    async def test_both_ways(self, guest: FileGuest, here: Path, there: Path, sample: Path) -> None:
        report = await guest.download(str(sample), here / "copy", recursive=True)
        assert (report.files, report.directories, report.symlinks) == (32, 5, 3)
        assert tree(here / "copy") == tree(sample)
        report = await guest.upload(here / "copy", str(there), recursive=True)
        assert (report.files, report.directories, report.symlinks) == (32, 5, 3)
        assert tree(there / "copy") == tree(sample)

    async def test_onto_one_that_is_there(
        self, guest: FileGuest, here: Path, there: Path, sample: Path
    ) -> None:
        for _ in range(2):
            await guest.download(str(sample), here, recursive=True)
            await guest.upload(sample, str(there), recursive=True)
        assert tree(here / "sample") == tree(there / "sample") == tree(sample)

    async def test_the_content_of_one(self, guest: FileGuest, here: Path, there: Path, sample: Path) -> None:
        await guest.download(f"{sample}/.", here, recursive=True)
        await guest.upload(f"{sample}/.", str(there), recursive=True)
        assert tree(here) == tree(there) == tree(sample)

    async def test_only_when_asked(self, guest: FileGuest, here: Path, there: Path, sample: Path) -> None:
        with pytest.raises(CopyFailed, match="recursive"):
            await guest.download(str(sample), here)
        with pytest.raises(CopyFailed, match="recursive"):
            await guest.upload(sample, str(there))
        assert names(here) == names(there) == []

    async def test_attributes(self, guest: FileGuest, here: Path, there: Path, sample: Path) -> None:
        (sample / "a/deep").chmod(0o500)
        (sample / "a").chmod(0o751)
        for path in sorted(sample.rglob("*"), reverse=True):
            os.utime(path, ns=(0, 1_000_000_000_000_000_001), follow_symlinks=False)
        await guest.download(str(sample), here, recursive=True, preserve=True)
        await guest.upload(here / "sample", str(there), recursive=True, preserve=True)
        for root in (here / "sample", there / "sample"):
            for path in sample.rglob("*"):
                copy, original = (root / path.relative_to(sample)).lstat(), path.lstat()
                assert (copy.st_mode, copy.st_mtime_ns) == (original.st_mode, original.st_mtime_ns), path

    async def test_modes_without_preserve(
        self, guest: FileGuest, here: Path, there: Path, sample: Path
    ) -> None:
        (sample / "a").chmod(0o777)
        await guest.download(str(sample), here, recursive=True)
        await guest.upload(sample, str(there), recursive=True)
        for root in (here, there):
            assert stat.S_IMODE((root / "sample/a").stat().st_mode) == 0o777 & ~current_umask()

    async def test_what_is_left_out(self, guest: FileGuest, here: Path, there: Path, sample: Path) -> None:
        os.mkfifo(sample / "fifo")
        (sample / "a/.x.guestmux-part").write_text("half")
        watcher = Watcher()
        await guest.download(str(sample), here, recursive=True, watcher=watcher)
        assert watcher.skips == [
            (f"{sample}/fifo", "a fifo"),
            (f"{sample}/a/.x.guestmux-part", "the part of another copy"),
        ]
        watcher = Watcher()
        report = await guest.upload(sample, str(there), recursive=True, watcher=watcher)
        assert len(watcher.skips) == report.skipped == 2

    async def test_one_that_fails_does_not_stop_the_others(
        self, guest: FileGuest, here: Path, there: Path, sample: Path
    ) -> None:
        def refuse(given: dict[str, Any]) -> None:
            if given["path-b64" if "path-b64" in given else "path"].endswith(("a/7", ".7.guestmux-part")):
                raise CommandFailed("GenericError", "Permission denied")

        guest.overrides.update({"guest-file-download": refuse, "guest-file-upload": refuse})
        for copy in (
            guest.download(str(sample), here, recursive=True),
            guest.upload(sample, str(there), recursive=True),
        ):
            with pytest.raises(CopyIncomplete, match="a/7: Permission denied") as caught:
                await copy
            report = caught.value.report
            assert (report.files, report.failed) == (31, 1)
            assert [failure.path for failure in report.failures] == [f"{sample}/a/7"]
        assert not (here / "sample/a/7").exists()
        assert (there / "sample/a/8").exists()

    @pytest.mark.parametrize("to_guest", [False, True])
    async def test_the_guest_goes(
        self, guest: FileGuest, here: Path, there: Path, sample: Path, to_guest: bool
    ) -> None:
        guest.on_bytes = Breaker(1000, ConnectionLost("the guest hung up"))

        async def copy(**how: Any) -> None:
            if to_guest:
                await guest.upload(sample, str(there), recursive=True, **how)
            else:
                await guest.download(str(sample), here, recursive=True, **how)

        with pytest.raises(ConnectionLost):
            await copy()
        guest.on_bytes = lambda _: None
        directory = there if to_guest else here
        await copy(resume=True)
        assert tree(directory / "sample") == tree(sample)

    async def test_more_entries_than_one_answer_tells(
        self, guest: FileGuest, here: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("guestmux.remote_files.LISTED", 3)
        await guest.download(str(sample), here, recursive=True)
        assert tree(here / "sample") == tree(sample)
        assert len(guest.asked("guest-file-list")) > 10

    async def test_a_file_where_a_device_or_the_like_is(
        self, guest: FileGuest, here: Path, there: Path, sample: Path
    ) -> None:
        for root in (here, there):
            (root / "sample/a").mkdir(parents=True)
            os.mkfifo(root / "sample/a/3")
        for copy in (
            guest.download(str(sample), here, recursive=True),
            guest.upload(sample, str(there), recursive=True),
        ):
            with pytest.raises(CopyIncomplete, match="no file"):
                await copy
        for root in (here, there):
            assert (root / "sample/a/3").is_fifo(), "whoever uses it by its name still does"

    async def test_a_file_where_a_directory_is(
        self, guest: FileGuest, here: Path, there: Path, sample: Path
    ) -> None:
        for root in (here, there):
            (root / "sample/a/3").mkdir(parents=True)
            (root / "sample/empty").write_text("a file")
        for copy in (
            guest.download(str(sample), here, recursive=True),
            guest.upload(sample, str(there), recursive=True),
        ):
            with pytest.raises(CopyIncomplete) as caught:
                await copy
            failures = caught.value.report.failures
            assert [failure.path for failure in failures] == [f"{sample}/a/3", f"{sample}/empty"]


def listing(*entries: dict[str, Any]) -> Any:
    """A directory as a hostile guest tells it."""
    common = {"size": 3, "allocated": 4096, "mode": 0o644, "uid": 0, "gid": 0, "mtime-ns": 0}
    return {"entries": [{"type": "file", **common, **entry} for entry in entries], "more": False}


class TestAHostileGuest:
    @pytest.fixture
    def outside(self, tmp_path: Path) -> Iterator[Path]:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("precious")
        yield outside
        assert names(outside) == ["precious"]
        assert (outside / "precious").read_text() == "precious"

    @pytest.mark.parametrize(
        "name", ["..", ".", "", "/etc/passwd", "../outside/precious", "a/b", "nul\0nul", "x" * 256]
    )
    @pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
    async def test_names(
        self, guest: FileGuest, here: Path, there: Path, outside: Path, name: str, kind: str
    ) -> None:
        (there / "good").write_text("good")
        guest.overrides["guest-file-list"] = lambda _: listing(
            {"name": name, "type": kind, "target": "x"}, {"name": "good"}
        )
        with pytest.raises(CopyIncomplete):
            await guest.download(str(there), here / "copy", recursive=True)
        assert names(here) == ["copy"]
        assert names(here / "copy") == ["good"]

    async def test_a_link_and_then_something_in_it(
        self, guest: FileGuest, here: Path, there: Path, outside: Path
    ) -> None:
        def entries(given: dict[str, Any]) -> Any:
            if given["path"] == str(there):
                return listing(
                    {"name": "a", "type": "symlink", "target": str(outside)},
                    {"name": "a", "type": "directory"},
                    {"name": "precious", "type": "symlink", "target": f"{outside}/precious"},
                    {"name": "precious"},
                )
            return listing({"name": "precious"})

        guest.overrides["guest-file-list"] = entries
        (there / "a").mkdir()
        for path in (there / "precious", there / "a/precious"):
            path.write_text("bad")
        for _ in range(2):
            with pytest.raises(CopyIncomplete, match="is no directory"):
                await guest.download(str(there), here / "copy", recursive=True)
        assert not (here / "copy/precious").is_symlink()

    async def test_a_link_that_an_earlier_copy_made(
        self, guest: FileGuest, here: Path, there: Path, outside: Path
    ) -> None:
        (there / "a").symlink_to(outside)
        await guest.download(f"{there}/.", here, recursive=True)
        (there / "a").unlink()
        (there / "a").mkdir()
        (there / "a/precious").write_text("bad")
        with pytest.raises(CopyIncomplete):
            await guest.download(f"{there}/.", here, recursive=True)

    async def test_it_goes_on_for_ever(
        self, guest: FileGuest, here: Path, there: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("guestmux.tree_copy.MAX_DEPTH", 20)
        guest.overrides["guest-file-list"] = lambda _: listing({"name": "d", "type": "directory"})
        with pytest.raises(CopyIncomplete, match="directories in each other"):
            await guest.download(str(there), here / "copy", recursive=True)
        guest.overrides["guest-file-list"] = lambda _: {"entries": [], "more": True}
        with pytest.raises(CopyIncomplete, match="says there is more"):
            await guest.download(str(there), here / "copy", recursive=True)

    @pytest.mark.parametrize("entry", [{}, {"name-b64": "?"}, {"name": "l", "type": "symlink"}])
    async def test_entries_that_are_none(
        self, guest: FileGuest, here: Path, there: Path, entry: dict[str, Any]
    ) -> None:
        guest.overrides["guest-file-list"] = lambda _: listing(entry)
        with pytest.raises(CopyIncomplete):
            await guest.download(str(there), here / "copy", recursive=True)

    async def test_links_without_end(self, guest: FileGuest, here: Path, there: Path) -> None:
        (here / "a").write_text("x")
        (there / "loop").symlink_to("loop")
        link = listing({"type": "symlink", "target": "loop"})["entries"][0]
        guest.overrides["guest-file-stat"] = lambda given: link if not given["follow"] else file_stat(given)
        (there / "loop").unlink()
        with pytest.raises(CopyFailed, match="too many symbolic links"):
            await guest.upload(here / "a", str(there / "loop"))


class TestWithoutStreams:
    async def test_a_policy_that_forbids_it_is_not_gone_around(self, guest: FileGuest, here: Path) -> None:
        def refuse(_: dict[str, Any]) -> Any:
            raise CommandDisabled("CommandNotFound", "Command guest-file-stat has been disabled")

        guest.overrides["guest-file-stat"] = refuse
        (here / "a").write_text("x")
        with pytest.raises(CommandDisabled):
            await guest.download("/etc/hostname", here)
        with pytest.raises(CommandDisabled):
            await guest.upload(here / "a", "/tmp")
        with pytest.raises(CommandDisabled):
            await guest.upload(here, "/tmp", recursive=True)
        assert not guest.asked("guest-file-open")

    async def test_directories(self, guest: FileGuest, here: Path) -> None:
        guest.streams = False
        with pytest.raises(CopyFailed, match="one by one"):
            await guest.upload(here, "/tmp", recursive=True)

        def refuse(_: dict[str, Any]) -> Any:
            raise CommandFailed("GenericError", "failed to open file '/etc': Is a directory")

        guest.overrides["guest-file-open"] = refuse
        with pytest.raises(CopyFailed, match="one by one"):
            await guest.download("/etc", here, recursive=True)


def test_checksums_are_b2sums() -> None:
    """What docs/mux.md promises to other implementations."""
    assert hashlib.blake2b(b"").hexdigest().startswith("786a02f742015903c6c6fd852552d272")
