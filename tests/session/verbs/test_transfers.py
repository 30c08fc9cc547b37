"""guest-file-download, -upload and -checksum: real files over a real connection."""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_protocol.schema import INT64_MAX
from guestmux_session.verbs import downloads, uploads, written_files
from guestmux_session.verbs.base64_text import encoded
from guestmux_session.verbs.checksums import Checksums
from guestmux_session.verbs.disk_threads import PIECE_BYTES
from guestmux_session.verbs.downloads import Downloads
from guestmux_session.verbs.uploads import Uploads
from tests.support.other_user import as_nobody, needs_root
from tests.support.stream_verbs import Refused, Streams, serving

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture
async def agent() -> AsyncIterator[Streams]:
    before = descriptors()
    parts = Checksums(), Downloads(), Uploads()
    async with serving(*parts) as streams:
        inside = descriptors()
        yield streams
        # Whatever a test gave up is closed in the end, by the thread that had it last.
        while descriptors() > inside:
            await anyio.lowlevel.checkpoint()
    for part in parts:
        part.close_all()
    assert descriptors() <= before


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def b2sum(data: bytes) -> str:
    return hashlib.blake2b(data).hexdigest()


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A call of the system's that waits: gives what is set when it is entered, and what lets it go on."""
    entered, go_on = threading.Event(), threading.Event()
    call = getattr(os, name)

    def waiting(*arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(30)
        return call(*arguments)

    monkeypatch.setattr(os, name, waiting)
    try:
        yield entered, go_on
    finally:
        go_on.set()
        monkeypatch.setattr(os, name, call)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


# Downloads


@pytest.mark.parametrize("size", [0, 1, 65536, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 12345])
async def test_every_byte_of_a_file_comes(agent: Streams, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert await agent.download(path=f"{tmp_path}/file") == (data, {"bytes": size, "blake2b": b2sum(data)})


async def test_opening_tells_what_the_file_is_like(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    async with agent.open("guest-file-download", path=f"{tmp_path}/link") as stream:
        assert (stream.reply["type"], stream.reply["size"]) == ("file", 5)
        assert stream.reply["mtime-ns"] == (tmp_path / "file").stat().st_mtime_ns
        assert await stream.read_all() == b"12345"


async def test_ranges_come_one_after_the_other(agent: Streams, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB)
    (tmp_path / "file").write_bytes(data)
    ranges = [[0, 3], [3, 0], [5, 1], [100, MIB], [3 * MIB - 1, 1], [3 * MIB, 0]]
    wanted = b"".join(data[offset : offset + length] for offset, length in ranges)
    answer = await agent.download(path=f"{tmp_path}/file", ranges=ranges)
    assert answer == (wanted, {"bytes": len(wanted), "blake2b": b2sum(wanted)})
    assert (await agent.download(path=f"{tmp_path}/file", ranges=[]))[0] == b""


async def test_thousands_of_ranges_are_read(agent: Streams, tmp_path: Path) -> None:
    data = os.urandom(4096 * 7)
    (tmp_path / "file").write_bytes(data)
    ranges = [[place * 7, 3] for place in range(4096)]
    wanted = b"".join(data[offset : offset + 3] for offset, _ in ranges)
    assert (await agent.download(path=f"{tmp_path}/file", ranges=ranges))[0] == wanted


@pytest.mark.parametrize("verb", ["guest-file-download", "guest-file-upload"])
@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([[0, 5], [4, 1]], "the range at 4 begins before 5"),
        ([[5, 1], [0, 1]], "the range at 0 begins before 6"),
        ([[1, INT64_MAX]], "ends where no file does"),
        ([[-1, 1]], ">= 0"),
        ([[0, -1]], ">= 0"),
        ([[0]], "length >= 2"),
        ([[0, 1]] * 4097, "has more than 4096 items"),
        ([["0", 1]], "expected: integer"),
        ([[0, 2**64]], "expected: integer"),
        ("x", "expected: array"),
    ],
)
async def test_ranges_that_make_no_sense_are_refused(
    agent: Streams, tmp_path: Path, verb: str, ranges: Any, said: str
) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert said in await agent.refused(verb, path=f"{tmp_path}/file", ranges=ranges)
    assert (tmp_path / "file").read_bytes() == b"12345"


async def test_a_range_beyond_the_end_breaks_the_stream(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    for ranges in ([[3, 3]], [[5, 1]], [[1 << 40, 5]]):
        with pytest.raises(Refused, match="within what was asked for"):
            await agent.download(path=f"{tmp_path}/file", ranges=ranges)


async def test_a_file_that_becomes_shorter_breaks_the_stream(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8 * MIB))
    async with agent.open("guest-file-download", path=f"{tmp_path}/file") as stream:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(Refused, match=f"became shorter while it was read: 0 bytes instead of {8 * MIB}"):
            await stream.read_all()
        with pytest.raises(Refused, match="became shorter"):
            await stream.result()


async def test_a_file_that_becomes_longer_comes_with_what_was_added(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(8 * MIB))
    async with agent.open("guest-file-download", path=f"{tmp_path}/file") as stream:
        with (tmp_path / "file").open("ab") as file:
            file.write(b"more")
        assert (await stream.read_all())[8 * MIB :] == b"more"


@pytest.mark.parametrize("path", ["/proc/self/status", "/proc/version"])
async def test_files_of_the_kernel_s_whose_size_is_nothing_come_whole(agent: Streams, path: str) -> None:
    data, result = await agent.download(path=path)
    assert data
    assert result["bytes"] == len(data)


async def test_a_file_whose_size_was_never_true_comes_as_far_as_it_goes(agent: Streams) -> None:
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not path.exists():
        pytest.skip("this kernel has no such file in /sys")
    assert path.stat().st_size > len(path.read_bytes())
    assert (await agent.download(path=str(path)))[0] == path.read_bytes()


async def test_without_a_checksum_none_is_told(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert await agent.download(path=f"{tmp_path}/file", checksum=False) == (b"12345", {"bytes": 5})
    assert await agent.upload(b"x", path=f"{tmp_path}/new", checksum=False) == {"bytes": 1}


async def test_a_python_without_openssl_s_checksum_has_its_own(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_arguments: Any, **_more: Any) -> Any:
        raise ValueError("unsupported hash type")

    monkeypatch.setattr(hashlib, "new", none)
    assert (await agent.upload(b"x", path=f"{tmp_path}/new"))["blake2b"] == b2sum(b"x")


@pytest.mark.parametrize("verb", ["guest-file-download", "guest-file-upload"])
async def test_what_is_no_regular_file_is_refused_in_words_and_never_waited_for(
    agent: Streams, tmp_path: Path, verb: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, what in (
        (f"{tmp_path}/fifo", "a pipe"),
        (str(tmp_path), "a directory"),
        ("/dev/zero", "a character device"),
    ):
        said = await agent.refused(verb, path=path)
        assert said == f"failed to open file '{path}': it is {what}, no regular file"


async def test_what_is_not_there_is_told(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    for path, said in (
        ("/nowhere/x", "No such file or directory"),
        ("n\0ul", "No such file or directory"),
        ("", "No such file or directory"),
        ("x" * 5000, "File name too long"),
        (f"{tmp_path}/a", "Too many levels of symbolic links"),
    ):
        answer = await agent.refused("guest-file-download", path=path)
        assert answer.startswith("failed to read file '")
        assert answer.endswith(f": {said}")
    assert await agent.refused("guest-file-download") == "Parameter 'path' is missing"


async def test_a_name_that_is_no_text(agent: Streams, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    await agent.upload(b"x", path_b64=encoded(path))
    assert Path(os.fsdecode(path)).read_bytes() == b"x"
    assert (await agent.download(path_b64=encoded(path)))[0] == b"x"


async def test_a_host_that_does_not_read_has_a_bounded_part_of_the_file_in_memory(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(16 * MIB))
    read = 0
    pread = os.pread

    def counting(file: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(file, size, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    async with agent.open("guest-file-download", path=f"{tmp_path}/file") as stream:
        before = -1
        while before != read:
            before = read
            await anyio.wait_all_tasks_blocked()
        # A window on the way, one piece being sent, and the one that is read ahead.
        assert read <= MIB + 3 * PIECE_BYTES
        assert len(await stream.read_all()) == 16 * MIB


async def test_a_download_that_is_given_up_lets_its_file_go(agent: Streams, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(16 * MIB))
    before = descriptors()
    async with agent.open("guest-file-download", path=f"{tmp_path}/file") as stream:
        await stream.read()
    await until(lambda: descriptors() == before)


async def test_a_read_that_fails_is_told(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> bytes:
        raise OSError(5, "")

    monkeypatch.setattr(os, "pread", broken)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(Refused, match=f"failed to read file '{tmp_path}/file': Input/output error"):
        await agent.download(path=f"{tmp_path}/file")


async def test_a_disk_that_hangs_holds_up_nobody_and_its_file_is_closed_when_it_comes_back(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"slow")
    before = descriptors()
    with held(monkeypatch, "pread") as (entered, go_on):
        async with agent.open("guest-file-download", path=f"{tmp_path}/file"):
            await until(entered.is_set)
            await agent.upload(b"x", path=f"{tmp_path}/other")
        await anyio.wait_all_tasks_blocked()
        assert descriptors() == before + 1
        go_on.set()
        await until(lambda: descriptors() == before)


async def test_giving_up_while_the_file_is_opened_leaves_none_open(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"slow")
    before = descriptors()
    with held(monkeypatch, "open") as (entered, go_on):
        with anyio.move_on_after(30) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: agent.download(path=f"{tmp_path}/file"))
                await until(entered.is_set)
                scope.cancel()
        go_on.set()
        await until(lambda: descriptors() == before)


async def test_many_at_once_and_one_too_many(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{tmp_path}/{number}": os.urandom(100_000) for number in range(100)}
    got: dict[str, bytes] = {}

    async def copy(path: str, data: bytes) -> None:
        await agent.upload(data, path=path)
        got[path] = (await agent.download(path=path))[0]

    async with anyio.create_task_group() as tasks:
        for path, data in files.items():
            tasks.start_soon(copy, path, data)
    assert got == files


async def test_how_many_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_DOWNLOADS", 2)
    monkeypatch.setattr(uploads, "MAX_UPLOADS", 1)
    (tmp_path / "file").write_bytes(bytes(4 * MIB))
    down = {"path": f"{tmp_path}/file"}
    async with serving(Downloads(), Uploads()) as agent:
        async with agent.open("guest-file-download", **down), agent.open("guest-file-download", **down):
            assert (
                await agent.refused("guest-file-download", **down)
                == "2 downloads are under way; try again when one has ended"
            )
        async with agent.open("guest-file-upload", path=f"{tmp_path}/a"):
            assert "1 uploads are under way" in await agent.refused("guest-file-upload", path=f"{tmp_path}/b")
        assert not (tmp_path / "b").exists()


# Uploads


@needs_root
@pytest.mark.parametrize("name", ["guest-file-download", "guest-file-upload", "guest-file-checksum"])
def test_what_the_user_may_not_is_told(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_bytes(b"secret")
    (tmp_path / "file").chmod(0o600)

    async def attempt(path: str) -> str:
        try:
            async with serving(Checksums(), Downloads(), Uploads()) as agent:
                if name == "guest-file-checksum":
                    await agent.get(name, path=path)
                else:
                    async with agent.open(name, path=path):
                        return "opened"
        except Refused as error:
            return str(error)
        return "nothing"

    said = as_nobody(tmp_path, lambda: asyncio.run(attempt("file")))
    assert said.endswith(" file 'file': Permission denied")
    if name == "guest-file-upload":
        assert as_nobody(tmp_path, lambda: asyncio.run(attempt("new"))).endswith(": Permission denied")
    assert (tmp_path / "file").read_bytes() == b"secret"


@pytest.mark.parametrize("size", [0, 1, 65536, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 12345])
async def test_every_byte_arrives(agent: Streams, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    assert await agent.upload(data, path=f"{tmp_path}/new") == {"bytes": size, "blake2b": b2sum(data)}
    assert (tmp_path / "new").read_bytes() == data


async def test_small_pieces_are_written_as_they_come(agent: Streams, tmp_path: Path) -> None:
    async with agent.open("guest-file-upload", path=f"{tmp_path}/new") as stream:
        for number in range(50):
            await stream.write(b"%02d" % number)
        await until(lambda: (tmp_path / "new").stat().st_size > 0)
        await stream.end()
        assert (await stream.result())["bytes"] == 100
    assert (tmp_path / "new").read_bytes() == b"".join(b"%02d" % number for number in range(50))


async def test_a_new_file_has_the_mode_less_the_umask(agent: Streams, tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        await agent.upload(b"", path=f"{tmp_path}/usual")
        await agent.upload(b"", path=f"{tmp_path}/secret", mode=0o600)
        await agent.upload(b"", path=f"{tmp_path}/secret", mode=0o777)
    finally:
        os.umask(old)
    modes = [(tmp_path / name).stat().st_mode & 0o7777 for name in ("usual", "secret")]
    assert modes == [0o640, 0o600]


async def test_what_was_there_stays_unless_it_is_to_go(agent: Streams, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    await agent.upload(b"ab", path=str(path))
    assert path.read_bytes() == b"ab23456789"
    await agent.upload(b"cd", path=str(path), size=5)
    assert path.read_bytes() == b"cd234"
    await agent.upload(b"ef", path=str(path), truncate=True, size=4)
    assert path.read_bytes() == b"ef\0\0"
    await agent.upload(b"", path=str(path), truncate=True)
    assert path.read_bytes() == b""


async def test_it_must_be_there_or_must_not(agent: Streams, tmp_path: Path) -> None:
    path = f"{tmp_path}/file"
    said = await agent.refused("guest-file-upload", path=path, create=False)
    assert said == f"failed to write to file '{path}': No such file or directory"
    await agent.upload(b"1", path=path, exclusive=True)
    said = await agent.refused("guest-file-upload", path=path, exclusive=True, truncate=True)
    assert said == f"failed to write to file '{path}': File exists"
    assert (tmp_path / "file").read_bytes() == b"1"
    await agent.upload(b"2", path=path, create=False)
    assert (tmp_path / "file").read_bytes() == b"2"


@pytest.mark.parametrize("target", ["there", "nowhere"])
async def test_a_link_is_not_followed(agent: Streams, tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(target)
    said = await agent.refused("guest-file-upload", path=f"{tmp_path}/link", truncate=True)
    assert said == f"failed to open file '{tmp_path}/link': it is a symbolic link, no regular file"
    assert "File exists" in await agent.refused("guest-file-upload", path=f"{tmp_path}/link", exclusive=True)
    assert (tmp_path / "there").read_bytes() == b"kept"
    assert not (tmp_path / "nowhere").exists()


async def test_ranges_are_filled_one_after_the_other_and_the_rest_stays(
    agent: Streams, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"." * 10)
    result = await agent.upload(b"abcde", path=str(path), ranges=[[1, 2], [4, 0], [5, 3]])
    assert result == {"bytes": 5, "blake2b": b2sum(b"abcde")}
    assert path.read_bytes() == b".ab..cde.."


async def test_a_sparse_file_stays_sparse(agent: Streams, tmp_path: Path) -> None:
    data = os.urandom(MIB)
    await agent.upload(data * 2, path=f"{tmp_path}/new", ranges=[[0, MIB], [63 * MIB, MIB]], size=128 * MIB)
    with (tmp_path / "new").open("rb") as file:
        assert (os.pread(file.fileno(), MIB, 0), os.pread(file.fileno(), MIB, 63 * MIB)) == (data, data)
    status = (tmp_path / "new").stat()
    assert status.st_size == 128 * MIB
    assert status.st_blocks * 512 < 8 * MIB


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"abc", "2 bytes less came than the ranges take"), (b"abcdef", "more came than the ranges")],
)
async def test_ranges_must_be_filled_exactly(agent: Streams, tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        await agent.upload(data, path=f"{tmp_path}/new", ranges=[[0, 2], [5, 3]])


async def test_a_broken_upload_is_no_completed_one(agent: Streams, tmp_path: Path) -> None:
    before = descriptors()
    async with agent.open("guest-file-upload", path=f"{tmp_path}/new") as stream:
        await stream.write(b"some")
        await until(lambda: (tmp_path / "new").stat().st_size == 4)
    await until(lambda: descriptors() == before)
    assert (tmp_path / "new").read_bytes() == b"some"


async def test_a_full_disk_breaks_the_stream_in_its_own_words(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: Any) -> int:
        raise OSError(28, "")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Refused, match=f"failed to write to file '{tmp_path}/new': No space left on device"):
        await agent.upload(bytes(8 * MIB), path=f"{tmp_path}/new")


async def test_a_file_that_cannot_be_so_large_is_refused(agent: Streams, tmp_path: Path) -> None:
    for more in ({"size": INT64_MAX}, {"size": INT64_MAX, "truncate": True}):
        said = await agent.refused("guest-file-upload", path=f"{tmp_path}/new", **more)
        assert said.endswith((": File too large", ": Invalid argument"))
    with pytest.raises(Refused, match=r"File too large|Invalid argument"):
        await agent.upload(b"x", path=f"{tmp_path}/new", ranges=[[INT64_MAX - 1, 1]])


async def test_half_a_write_is_gone_on_with(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: pwrite(file, data[:1000], offset))
    data = os.urandom(100_001)
    await agent.upload(data, path=f"{tmp_path}/new", ranges=[[7, 50_000], [60_000, 50_001]])
    written = (tmp_path / "new").read_bytes()
    assert written[7:50_007] + written[60_000:] == data


async def test_what_is_written_is_synced_where_that_is_asked_for(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    await agent.upload(b"x", path=f"{tmp_path}/new")
    assert synced == []
    await agent.upload(b"x", path=f"{tmp_path}/new", sync=True)
    assert len(synced) == 1


async def test_what_only_closing_tells_is_told(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def quota(descriptor: int) -> None:
        close(descriptor)
        raise OSError(122, "")

    async with agent.open("guest-file-upload", path=f"{tmp_path}/new") as stream:
        monkeypatch.setattr(written_files.os, "close", quota)  # type: ignore[attr-defined]
        await stream.end()
        with pytest.raises(Refused, match="Disk quota exceeded"):
            await stream.result()
        monkeypatch.undo()


async def test_one_file_is_one_upload_s(agent: Streams, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"kept")
    os.link(path, tmp_path / "other name")
    async with agent.open("guest-file-upload", path=str(path)) as stream:
        said = await agent.refused("guest-file-upload", path=f"{tmp_path}/other name", truncate=True)
        assert said == f"failed to open file '{tmp_path}/other name': another upload is writing to it"
        await agent.upload(b"x", path=f"{tmp_path}/third")
        await stream.end()
        await stream.result()
    assert path.read_bytes() == b"kept"
    await agent.upload(b"again", path=str(path))


async def test_a_file_that_comes_and_goes_is_not_waited_for_for_ever(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_arguments: Any, **_more: Any) -> int:
        raise FileNotFoundError(2, "")

    monkeypatch.setattr(written_files, "open_regular", gone)
    (tmp_path / "file").touch()
    assert (await agent.refused("guest-file-upload", path=f"{tmp_path}/file")).endswith("it comes and goes")


async def test_a_slow_disk_slows_the_host_down(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    with held(monkeypatch, "pwrite") as (entered, go_on):
        async with agent.open("guest-file-upload", path=f"{tmp_path}/new") as stream:

            async def send() -> None:
                nonlocal sent
                for _ in range(64):
                    await stream.write(bytes(MIB // 4))
                    sent += MIB // 4
                await stream.end()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                await until(entered.is_set)
                await anyio.wait_all_tasks_blocked()
                # A window, and two pieces.
                assert sent <= 2 * MIB + 2 * PIECE_BYTES
                go_on.set()
            assert (await stream.result())["bytes"] == 16 * MIB


# Checksums


async def test_the_checksum_of_a_file_and_of_its_parts(agent: Streams, tmp_path: Path) -> None:
    data = os.urandom(2 * PIECE_BYTES + 5)
    (tmp_path / "file").write_bytes(data)
    path = f"{tmp_path}/file"
    whole = {"blake2b": b2sum(data), "length": len(data)}
    assert await agent.get("guest-file-checksum", path=path) == whole
    assert await agent.get("guest-file-checksum", path=path, length=INT64_MAX) == whole
    part = await agent.get("guest-file-checksum", path=path, offset=3, length=PIECE_BYTES)
    assert part == {"blake2b": b2sum(data[3 : PIECE_BYTES + 3]), "length": PIECE_BYTES}
    end = await agent.get("guest-file-checksum", path=path, offset=len(data) - 2, length=100)
    assert end == {"blake2b": b2sum(data[-2:]), "length": 2}
    for more in ({"length": 0}, {"offset": len(data)}, {"offset": 1 << 40}):
        assert await agent.get("guest-file-checksum", path=path, **more) == {
            "blake2b": b2sum(b""),
            "length": 0,
        }


async def test_a_checksum_of_what_has_none(agent: Streams, tmp_path: Path) -> None:
    for path, said in (
        (str(tmp_path), "it is a directory"),
        ("/dev/zero", "device"),
        ("/nowhere", "No such file"),
    ):
        with pytest.raises(Refused, match=said):
            await agent.get("guest-file-checksum", path=path)


async def test_a_checksum_is_given_up_between_two_pieces(
    agent: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(16 * PIECE_BYTES))
    before = descriptors()
    reads = 0
    pread = os.pread
    with held(monkeypatch, "pread") as (entered, go_on):
        waiting = os.pread

        def counting(*arguments: Any) -> bytes:
            nonlocal reads
            reads += 1
            return waiting(*arguments)

        monkeypatch.setattr(os, "pread", counting)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: agent.get("guest-file-checksum", path=f"{tmp_path}/file"))
            await until(entered.is_set)
            tasks.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        await until(lambda: descriptors() == before)
    assert reads == 1
    assert os.pread is pread
