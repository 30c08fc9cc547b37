"""guest-file-*: against a real qemu-ga step by step, and where we are to do better."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guestmux_protocol.guest.files import MAX_READ
from guestmux_session.verbs import files
from guestmux_session.verbs.files import Files
from tests.support.qemu_ga import QEMU_GA, qemu_ga
from tests.support.verbs import Verbs

needs_qemu_ga = pytest.mark.skipif(QEMU_GA is None, reason="needs qemu-ga")

Ask = Callable[..., dict[str, Any]]
Step = tuple[str, dict[str, Any]]
Script = Callable[[Path], Iterator[Step]]

FIRST = 1000


@pytest.fixture
def verbs() -> Iterator[Verbs]:
    part = Files()
    yield Verbs(part)
    part.close_all()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def step(name: str, **arguments: Any) -> Step:
    return f"guest-file-{name}", {key.replace("_", "-"): value for key, value in arguments.items()}


@contextmanager
def stock(directory: Path) -> Iterator[Ask]:
    with qemu_ga(directory) as peer:
        yield lambda name, **arguments: peer.ask(
            json.dumps({"execute": name, "arguments": arguments}).encode()
        )


@contextmanager
def ours(_directory: Path) -> Iterator[Ask]:
    part = Files()
    yield Verbs(part).ask
    part.close_all()


def play(agent: Any, directory: Path, script: Script) -> list[Any]:
    """What an agent answers to a script, with its own directory's name taken out."""
    directory.mkdir()
    with agent(directory) as ask:
        answers = [ask(name, **arguments) for name, arguments in script(directory)]
    return [json.loads(json.dumps(answer).replace(str(directory), "DIR")) for answer in answers]


def modes(directory: Path) -> Iterator[Step]:
    for mode in ["r", "w", "r+", "w+", "rb", "rb+", "r+b", "a", "ab", "a+", "w+b", "wb+", "a+b", "ab+"]:
        yield step("open", path=f"{directory}/file", mode=mode)
    for mode in ["", "x", "rw", "rt", "wx", "re", "r++", "rbb", "+r", "R", "b", "r\x00", "ré"]:
        yield step("open", path=f"{directory}/file", mode=mode)


def places(directory: Path) -> Iterator[Step]:
    for path in [
        "/nowhere/x",
        "",
        str(directory),
        f"{directory}/none",
        "/dev/null/x",
    ]:
        yield step("open", path=path)
        yield step("open", path=path, mode="a+")


def reading(directory: Path) -> Iterator[Step]:
    (directory / "file").write_bytes(b"0123456789")
    yield step("open", path=f"{directory}/file")
    for count in [4, 0, 6, 1, -1, MAX_READ + 1]:
        yield step("read", handle=FIRST, count=count)
    yield step("seek", handle=FIRST, offset=2, whence=0)
    yield step("read", handle=FIRST)
    yield step("read", handle=FIRST)
    yield step("write", handle=FIRST, buf_b64=b64(b"x"))
    yield step("close", handle=FIRST)
    yield step("close", handle=FIRST)


def seeking(directory: Path) -> Iterator[Step]:
    (directory / "file").write_bytes(b"0123456789")
    yield step("open", path=f"{directory}/file", mode="r+")
    for offset, whence in [(3, "set"), (2, "cur"), (-1, "end"), (1, 0), (1, 1), (0, 2), (20, 0), (0, "cur")]:
        yield step("seek", handle=FIRST, offset=offset, whence=whence)
    for offset, whence in [(-1, 0), (0, 3), (0, -1), (0, "x"), (2**62, 0), (2**63 - 1, "cur")]:
        yield step("seek", handle=FIRST, offset=offset, whence=whence)


def switching(directory: Path) -> Iterator[Step]:
    (directory / "file").write_bytes(b"0123456789")
    yield step("open", path=f"{directory}/file", mode="r+")
    yield step("read", handle=FIRST, count=2)
    yield step("write", handle=FIRST, buf_b64=b64(b"AB"))
    yield step("read", handle=FIRST, count=2)
    yield step("seek", handle=FIRST, offset=0, whence=1)
    yield step("write", handle=FIRST, buf_b64=b64(b"CDEFGHIJ"), count=5)
    yield step("flush", handle=FIRST)
    yield step("seek", handle=FIRST, offset=0, whence=0)
    yield step("read", handle=FIRST)


def appending(directory: Path) -> Iterator[Step]:
    (directory / "file").write_bytes(b"0123456789")
    for handle, mode in [(FIRST, "a"), (FIRST + 1, "a+")]:
        yield step("open", path=f"{directory}/file", mode=mode)
        yield step("seek", handle=handle, offset=0, whence="cur")
        yield step("read", handle=handle, count=3)
        yield step("write", handle=handle, buf_b64=b64(b"AB"))
        yield step("seek", handle=handle, offset=0, whence="cur")
        yield step("close", handle=handle)


def base64_of_every_kind(directory: Path) -> Iterator[Step]:
    yield step("open", path=f"{directory}/file", mode="w+")
    for text in ["QUI=", "QUI=\n", "Q\nUI=", "QUI=QUI=", "", "QUI!", "é", "QUI= ", "QUI=\r\n", "QU\x00I"]:
        yield step("write", handle=FIRST, buf_b64=text)
        yield step("seek", handle=FIRST, offset=0, whence="cur")
    for text, count in [("aGVsbG8=", 6), ("aGVsbG8=", -1), ("!", -1), ("aGVsbG8=", 0)]:
        yield step("write", handle=FIRST, buf_b64=text, count=count)
    yield step("seek", handle=FIRST, offset=0, whence="set")
    yield step("read", handle=FIRST)


def no_such_handle(_directory: Path) -> Iterator[Step]:
    for handle in [7, 0, -1, 2**63 - 1]:
        yield step("close", handle=handle)
        yield step("read", handle=handle, count=-1)
        yield step("write", handle=handle, buf_b64="!")
        yield step("seek", handle=handle, offset=0, whence=9)
        yield step("flush", handle=handle)


def odd_files(directory: Path) -> Iterator[Step]:
    os.mkfifo(directory / "pipe")
    yield step("open", path=f"{directory}/pipe", mode="w")
    yield step("open", path=f"{directory}/pipe")
    yield step("read", handle=FIRST)
    yield step("open", path=f"{directory}/pipe", mode="a")
    yield step("read", handle=FIRST)
    yield step("write", handle=FIRST + 1, buf_b64=b64(b"hello"))
    yield step("flush", handle=FIRST + 1)
    yield step("read", handle=FIRST, count=5)
    yield step("seek", handle=FIRST, offset=0, whence=0)
    yield step("open", path=str(directory))
    yield step("read", handle=FIRST + 2)
    yield step("write", handle=FIRST + 2, buf_b64=b64(b"x"))
    yield step("open", path="/dev/zero")
    yield step("read", handle=FIRST + 3, count=5000)
    yield step("open", path="/proc/self/status")
    yield step("read", handle=FIRST + 4, count=5)


SCRIPTS = [
    modes,
    places,
    reading,
    seeking,
    switching,
    appending,
    base64_of_every_kind,
    no_such_handle,
    odd_files,
]


@needs_qemu_ga
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.__name__))
def test_every_answer_is_qemu_gas(script: Script, tmp_path: Path) -> None:
    theirs = play(stock, tmp_path / "theirs", script)
    assert play(ours, tmp_path / "ours", script) == theirs


def test_new_files_honour_the_umask(verbs: Verbs, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        verbs.ask("guest-file-open", path=str(tmp_path / "new"), mode="w")
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["n\x00ul", "half\ud800"])
def test_no_file_has_a_name_that_unix_cannot_say(verbs: Verbs, tmp_path: Path, name: str) -> None:
    answer = verbs.ask("guest-file-open", path=f"{tmp_path}/{name}", mode="w")
    assert answer["error"]["desc"].endswith("(mode: 'w'): No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_in_the_file_before_any_flush(verbs: Verbs, tmp_path: Path) -> None:
    handle = verbs.ask("guest-file-open", path=str(tmp_path / "new"), mode="w")["return"]
    verbs.ask("guest-file-write", handle=handle, buf_b64=b64(b"here"))
    assert (tmp_path / "new").read_bytes() == b"here"


def test_a_full_disk_is_told_by_the_write(verbs: Verbs) -> None:
    handle = verbs.ask("guest-file-open", path="/dev/full", mode="w")["return"]
    answer = verbs.ask("guest-file-write", handle=handle, buf_b64=b64(b"x"))
    assert answer["error"]["desc"] == "failed to write to file: No space left on device"


def test_a_pipe_gives_what_it_has_and_takes_what_it_can(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = verbs.ask("guest-file-open", path=str(tmp_path / "pipe"))["return"]
    writer = verbs.ask("guest-file-open", path=str(tmp_path / "pipe"), mode="a")["return"]
    written = verbs.ask("guest-file-write", handle=writer, buf_b64=b64(bytes(1_000_000)))["return"]["count"]
    assert 0 < written < 1_000_000
    full = verbs.ask("guest-file-write", handle=writer, buf_b64=b64(b"x"))
    assert full["error"]["desc"] == "failed to write to file: Resource temporarily unavailable"
    read = verbs.ask("guest-file-read", handle=reader, count=1_000_000)["return"]
    assert (read["count"], read["eof"]) == (written, False)


@pytest.mark.parametrize("text", ["QUI", "Q", "=", "====", "QU=I", "=QUJD", "QUI==", "QUJDRA"])
def test_base64_that_is_cut_off_is_refused_and_nothing_is_written(
    verbs: Verbs, tmp_path: Path, text: str
) -> None:
    handle = verbs.ask("guest-file-open", path=str(tmp_path / "new"), mode="w")["return"]
    answer = verbs.ask("guest-file-write", handle=handle, buf_b64=text)
    assert answer["error"]["desc"] == "Base64 data is cut off or wrongly padded"
    assert (tmp_path / "new").stat().st_size == 0


def test_open_files_are_bounded_and_a_closed_one_makes_room(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_OPEN", 3)
    handles = [verbs.ask("guest-file-open", path="/dev/null")["return"] for _ in range(3)]
    assert "close one" in verbs.ask("guest-file-open", path="/dev/null")["error"]["desc"]
    verbs.ask("guest-file-close", handle=handles[0])
    assert verbs.ask("guest-file-open", path="/dev/null")["return"] not in handles


def test_close_all_gives_every_descriptor_back() -> None:
    before = descriptors()
    part = Files()
    for _ in range(10):
        Verbs(part).ask("guest-file-open", path="/dev/null")
    assert descriptors() == before + 10
    part.close_all()
    assert descriptors() == before


@pytest.mark.parametrize("size", [0, 1, 196_607, 196_608, 196_609, 1_000_003])
def test_every_byte_comes_back_whatever_the_size(verbs: Verbs, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    handle = verbs.ask("guest-file-open", path=str(tmp_path / "file"), mode="w+")["return"]
    assert verbs.ask("guest-file-write", handle=handle, buf_b64=b64(data))["return"]["count"] == size
    verbs.ask("guest-file-seek", handle=handle, offset=0, whence="set")
    answer = verbs.ask("guest-file-read", handle=handle, count=MAX_READ)["return"]
    assert base64.b64decode(answer["buf-b64"]) == data
    assert (answer["count"], answer["eof"]) == (size, True)


def test_writes_from_many_threads_are_whole(verbs: Verbs, tmp_path: Path) -> None:
    handle = verbs.ask("guest-file-open", path=str(tmp_path / "file"), mode="w")["return"]
    texts = [bytes([65 + number]) * 100_000 for number in range(8)]

    def write(text: bytes) -> None:
        verbs.ask("guest-file-write", handle=handle, buf_b64=b64(text))

    threads = [threading.Thread(target=write, args=[text]) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = (tmp_path / "file").read_bytes()
    assert sorted(written[start : start + 100_000] for start in range(0, 800_000, 100_000)) == texts


# As an agent runs it: in a thread, after what its main does first.
LARGEST_READS = """
import asyncio, sys
from guestmux_session.calls import CallTable
from guestmux_session.declarations import commands_of
from guestmux_session.verbs.files import Files
from guestmux_transport.allocator import keep_little

keep_little()
served, calls = commands_of(Files()), CallTable()


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096


async def ask(name, **arguments):
    prepared = served[name].prepare(arguments)
    return await calls.finish(calls.begin(name, lambda: calls.in_thread(prepared), None), None)


async def main():
    handle = await ask("guest-file-open", path=sys.argv[1])
    await ask("guest-file-read", handle=handle, count=1)
    before = resident()
    for size in (48, 16, 48, 4):
        await ask("guest-file-seek", handle=handle, offset=0, whence=0)
        assert (await ask("guest-file-read", handle=handle, count=size << 20)).count == size << 20
    print(resident() - before)


asyncio.run(main())
"""


def test_the_largest_reads_leave_no_memory_behind(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(MAX_READ)
    command = [sys.executable, "-c", LARGEST_READS, str(tmp_path / "file")]
    left = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(left) < 4 * 1024 * 1024


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
