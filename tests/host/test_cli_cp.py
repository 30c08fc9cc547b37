"""`guestmux cp` and `forward` with a guest of real parts: eventd, both agents, streams from end to end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process, SocketStream
from anyio.streams.text import TextReceiveStream

from guestmux.cli import exits
from tests.support.whole_guest import WholeGuest, run_guestmux, whole_guest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="the system agent needs root"),
]

SEEN = 2_000_000
"""Bytes of a copy that is half-way."""

HUGE = 80_000_000
"""Bytes: even a fast copy is seen half-way."""


@pytest.fixture
async def guest(anyio_backend: str) -> AsyncIterator[WholeGuest]:
    async with whole_guest() as guest:
        yield guest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "guest"
    path.mkdir()
    return path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def filled(path: Path, size: int) -> bytes:
    """A file of which no two MiB are the same."""
    block = os.urandom(999_992)
    content = b"".join(number.to_bytes(8, "big") + block for number in range(size // 1_000_000))
    path.write_bytes(content)
    return content


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            str(path.readlink()) if path.is_symlink() else "" if path.is_dir() else path.read_text(),
        )
        for path in root.rglob("*")
    }


async def test_files(guest: WholeGuest, here: Path, there: Path) -> None:
    content = filled(there / "big", 20_000_000)
    for session in ([], ["-s", "user:alice"]):
        status, out, err = await run_guestmux(guest.address, "cp", *session, f":{there}/big", "copy")
        assert (status, out) == (0, b"")
        assert err.startswith(b"guestmux: 1 file, 19.1 MiB in ")
        assert (here / "copy").read_bytes() == content
        assert (await run_guestmux(guest.address, "cp", "-q", *session, "copy", f":{there}/back")) == (
            0,
            b"",
            b"",
        )
        assert (there / "back").read_bytes() == content
        (there / "back").unlink()
    (here / "holes").write_bytes(b"begin")
    os.truncate("holes", 1 << 30)
    (here / "a").write_text("a")
    status, _, err = await run_guestmux(guest.address, "cp", "holes", "a", f":{there}")
    assert (status, names(there)) == (0, ["a", "big", "holes"])
    assert b"2 files, 4" in err, "holes are not sent"
    assert (there / "holes").stat().st_size == 1 << 30
    assert (there / "holes").stat().st_blocks < 10_000
    for command in (["cp", f":{there}/a", "-"], ["cat", f"{there}/a"]):
        assert await run_guestmux(guest.address, *command) == (0, b"a", b"")
    assert await run_guestmux(guest.address, "cat", "/dev/null") == (0, b"", b""), "a device is no stream"
    assert (await run_guestmux(guest.address, "cat", "/proc/self/mounts"))[1]
    status, out, err = await run_guestmux(guest.address, "cat", "/nosuch", f"{there}/a")
    assert (status, out) == (exits.FAILED, b"a")
    assert b"/nosuch: " in err
    await run_guestmux(guest.address, "cp", "-", f":{there}/a", given=b"from a pipe")
    assert (there / "a").read_bytes() == b"from a pipe"
    for target in (f":{there}", f":{there}/"):
        assert (await run_guestmux(guest.address, "cp", "-", target, given=b"x"))[0] == exits.FAILED
    assert not list(there.glob(".*"))


async def test_directories(guest: WholeGuest, here: Path, there: Path) -> None:
    for number in range(300):
        (here / f"tree/d{number % 7}/{number}").parent.mkdir(parents=True, exist_ok=True)
        (here / f"tree/d{number % 7}/{number}").write_text(f"text {number}")
    (here / "tree/link").symlink_to("d1")
    (here / "tree" / os.fsdecode(b"no \xff text")).write_text("x")
    (here / "tree/d3").chmod(0o500)
    os.utime(here / "tree/d3", ns=(0, 1_000_000_000_000_000_007))
    os.mkfifo(here / "tree/fifo")
    status, _, err = await run_guestmux(guest.address, "cp", "-rp", "tree", f":{there}")
    assert status == 0
    assert b"tree/fifo: a fifo is not copied\n" in err
    assert b"guestmux: 301 files, 8 directories, 1 link, " in err
    (here / "tree/fifo").unlink()
    os.utime(there / "tree", ns=(0, (here / "tree").stat().st_mtime_ns))
    assert tree(there / "tree") == tree(here / "tree")
    status, _, _ = await run_guestmux(guest.address, "cp", "-rp", f":{there}/tree", "back")
    assert status == 0
    assert tree(here / "back") == tree(here / "tree")

    (here / "back/d1").rename(here / "back/elsewhere")
    (here / "back/d1").write_text("in the way")
    status, _, err = await run_guestmux(guest.address, "cp", "-r", f":{there}/tree/.", "back")
    assert status == exits.FAILED
    assert f":{there}/tree/./d1: back/d1: is there, and is no directory\n".encode() in err

    status, _, err = await run_guestmux(guest.address, "cp", f":{there}/tree", "back")
    assert (status, b"only a recursive copy copies" in err) == (exits.FAILED, True)


async def test_several_need_a_directory(guest: WholeGuest, here: Path, there: Path) -> None:
    (here / "in").mkdir()
    (here / "a").write_text("a")
    status, _, err = await run_guestmux(guest.address, "cp", "-r", "in", "a", f":{there}/nosuch")
    assert status == exits.FAILED
    assert err.count(b"nosuch: is no directory in the guest\n") == 2
    assert names(there) == []


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Nothing moves in it while the block runs."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def half_way(guest: WholeGuest, directory: Path, *paths: str) -> AsyncIterator[tuple[Process, Path]]:
    """Run a copy; gives it and its part while the agent is stopped. One that is seen too late is begun anew."""
    part = directory / ".big.guestmux-part"
    while True:
        async with await start(guest, "cp", *paths) as process:
            while size_of(part) <= SEEN and process.returncode is None:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.001)
            with stopped(guest.system):
                if SEEN < size_of(part) < HUGE / 2:
                    yield process, part
                    return
            assert await process.wait() == 0
        (directory / "big").unlink()


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def start(guest: WholeGuest, *arguments: str) -> Process:
    command = [sys.executable, "-m", "guestmux", "-c", guest.address, *arguments]
    return await anyio.open_process(command, stdout=PIPE, stderr=PIPE)


async def said(process: Process) -> str:
    assert process.stderr
    text = "".join([part async for part in TextReceiveStream(process.stderr)])
    assert "Traceback" not in text, text
    await process.wait()
    return text


@pytest.mark.parametrize("to_guest", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_interrupted_and_resumed(
    guest: WholeGuest, here: Path, there: Path, to_guest: bool, number: signal.Signals
) -> None:
    source, directory = (here, there) if to_guest else (there, here)
    content = filled(source / "big", HUGE)
    paths = ["big", f":{there}/big"] if to_guest else [f":{there}/big", "big"]
    async with half_way(guest, directory, *paths) as (process, part):
        process.send_signal(number)
        text = await said(process)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        told = f":{part}" if to_guest else part.name
        assert f"are in {told}, and cp --resume goes on with them" in text
    assert names(directory) == [part.name]
    status, _, err = await run_guestmux(guest.address, "cp", "--resume", *paths)
    assert (status, names(directory)) == (0, ["big"]), err
    assert (directory / "big").read_bytes() == content
    assert b"76.3 MiB" not in err, "not all of it was sent again"


@pytest.mark.parametrize("to_guest", [False, True])
async def test_the_agent_is_killed(guest: WholeGuest, here: Path, there: Path, to_guest: bool) -> None:
    source, directory = (here, there) if to_guest else (there, here)
    filled(source / "big", HUGE)
    paths = ["big", f":{there}/big"] if to_guest else [f":{there}/big", "big"]
    async with half_way(guest, directory, *paths) as (process, part):
        guest.system.send_signal(signal.SIGKILL)
        text = await said(process)
    assert process.returncode in {exits.FAILED, exits.GUESTMUX_FAILED}
    assert "incomplete; " in text
    assert names(directory) == [part.name]


async def test_disks_that_are_full(guest: WholeGuest, here: Path, there: Path) -> None:
    filled(there / "big", 20_000_000)
    resource.prlimit(guest.system.pid, resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
    status, _, err = await run_guestmux(guest.address, "cp", f"{there}/big", f":{there}/full")
    assert status == exits.FAILED
    assert b"File too large" in err
    assert not (there / "full").exists()
    command = f"ulimit -f 5000; exec {sys.executable} -m guestmux -c {guest.address} cp :{there}/big full"
    done = await anyio.run_process(["sh", "-c", command], check=False)
    assert done.returncode == exits.FAILED
    assert b"File too large" in done.stderr
    assert names(here) == [".full.guestmux-part"]


async def test_what_may_not_be_done(guest: WholeGuest, here: Path, there: Path) -> None:
    (here / "a").write_text("a")
    for source, target, text in [
        ("a", ":/proc/sys/kernel/version", ""),
        ("a", ":/nosuch/a", "No such file or directory"),
        (":/nosuch", ".", "No such file or directory"),
        ("nosuch", ":/tmp", "No such file or directory"),
        (f":{there}/loop", ".", "Too many levels of symbolic links"),
    ]:
        if text.startswith("Too many") and not (there / "loop").is_symlink():
            (there / "loop").symlink_to("loop")
        status, _, err = await run_guestmux(guest.address, "cp", source, target)
        assert status == exits.FAILED
        assert text in err.decode()
    assert names(here) == ["a"]


async def test_on_a_port_without_streams(guest: WholeGuest, here: Path, there: Path) -> None:
    content = filled(there / "big", 3_000_000)
    for address in ([guest.in_order], [guest.address, "--dialect", "qmp"]):
        assert (await run_guestmux(*address, "cp", "-q", f":{there}/big", "."))[0] == 0
        assert (await run_guestmux(*address, "cp", "-q", "big", f":{there}/back"))[0] == 0
        assert (there / "back").read_bytes() == content
        status, _, err = await run_guestmux(*address, "cp", "-r", str(there), ":/tmp")
        assert (status, b"one by one" in err) == (exits.FAILED, True)
        status, _, err = await run_guestmux(*address, "forward", "-", "tcp:22")
        assert status == exits.GUESTMUX_FAILED
        assert b"needs a port that speaks mux" in err


class TestForward:
    @pytest.fixture
    async def open_guest(self, anyio_backend: str, tmp_path: Path) -> AsyncIterator[WholeGuest]:
        """One whose policy lets users connect."""
        config = tmp_path / "eventd.toml"
        config.write_text('[[policy]]\nenable = ["guest-connect"]\n')
        async with whole_guest("--config", str(config)) as guest:
            yield guest

    @pytest.fixture
    async def echo(self, anyio_backend: str, tmp_path: Path) -> AsyncIterator[str]:
        """A service in the guest."""
        path = tmp_path / "echo"

        async def serve(stream: SocketStream) -> None:
            async with stream:
                with suppress(anyio.BrokenResourceError):
                    async for piece in stream:
                        await stream.send(piece)
                    await stream.send(b" and that is all")

        async with await anyio.create_unix_listener(path) as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            yield f"unix:{path}"
            tasks.cancel_scope.cancel()

    async def test_policy(self, guest: WholeGuest, echo: str) -> None:
        status, _, err = await run_guestmux(guest.address, "forward", "-", echo)
        assert status == exits.REFUSED
        assert b'a [[policy]] table with enable = ["guest-connect"]' in err

    async def test_standard_input_and_output(self, open_guest: WholeGuest, echo: str) -> None:
        for session in ([], ["-s", "user:alice"]):
            given = os.urandom(3_000_000)
            done = await run_guestmux(open_guest.address, "forward", *session, "-", echo, given=given)
            assert done == (0, given + b" and that is all", b"")
        status, _, err = await run_guestmux(open_guest.address, "forward", "-", "tcp:1")
        assert (status, b"refused" in err) == (exits.FAILED, True)
        status, _, err = await run_guestmux(open_guest.address, "forward", "-", "tcp:10.0.0.1:1")
        assert status == exits.USAGE
        assert b"only the loopback" in err

    async def test_a_listener(self, open_guest: WholeGuest, echo: str, here: Path) -> None:
        async with await start(open_guest, "forward", "unix:s", echo) as process:
            assert process.stderr
            lines = TextReceiveStream(process.stderr)
            assert await lines.receive() == f"guestmux: unix:s leads to {echo} in the guest\n"

            async def exchange() -> None:
                content = os.urandom(1_000_000)
                async with await anyio.connect_unix("s") as stream, anyio.create_task_group() as tasks:
                    tasks.start_soon(send, stream, content)
                    assert b"".join([piece async for piece in stream]) == content + b" and that is all"

            async def send(stream: SocketStream, content: bytes) -> None:
                await stream.send(content)
                await stream.send_eof()

            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(exchange)
            process.send_signal(signal.SIGINT)
            await process.wait()
        assert process.returncode == exits.INTERRUPTED
        assert not Path("s").exists()

    async def test_eventd_restarts(self, open_guest: WholeGuest, echo: str, here: Path) -> None:
        async with await start(open_guest, "forward", "--wait-agent", "20", "unix:s", echo) as process:
            assert process.stderr
            lines = TextReceiveStream(process.stderr)
            await lines.receive()
            async with await anyio.connect_unix("s") as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"
                open_guest.eventd.stop(signal.SIGKILL)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            assert "guestmux: " in await lines.receive()
            await anyio.to_thread.run_sync(open_guest.eventd.start)
            async with await anyio.connect_unix("s") as stream:
                await stream.send(b"y")
                assert await stream.receive() == b"y", "a new connection reaches the guest that is back"
            process.send_signal(signal.SIGTERM)
            await process.wait()
        assert process.returncode == 128 + signal.SIGTERM

    async def test_a_port_that_is_taken(self, open_guest: WholeGuest) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, _, err = await run_guestmux(open_guest.address, "forward", f"tcp:{port}", "tcp:22")
        assert status == exits.GUESTMUX_FAILED
        assert b"Address already in use" in err
