"""`guestmux exec` as a process: its streams, its signals, its terminal, its exit status."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from anyio.abc import ByteReceiveStream, Process

from guestmux.cli import exits
from guestmux.cli.local_terminal import ESCAPE, EscapeKeys
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.standin_guest import SILENCE, Refused
from tests.support.verb_guest import VerbGuest, verb_guest

pytestmark = pytest.mark.anyio

LATE_SECONDS = 5.0
"""Seconds after which a second signal was no second one, but too late."""

QGA_TOO = pytest.mark.parametrize("dialect", ["qmp", "qga"])


@pytest.fixture
def dialect() -> str:
    return "qmp"


@pytest.fixture
async def standin(dialect: str, anyio_backend: str) -> AsyncIterator[VerbGuest]:
    with TemporaryDirectory(prefix="guestmux-host-") as directory:
        async with verb_guest(Path(directory), dialect) as standin:
            yield standin


def environment(address: str) -> dict[str, str]:
    return {**os.environ, ADDRESS_VARIABLE: address, "TERM": "vt100"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "guestmux", "exec", *arguments]


@asynccontextmanager
async def running(standin: VerbGuest, *arguments: str, **streams: Any) -> AsyncIterator[Process]:
    process = await anyio.open_process(command(*arguments), env=environment(standin.address), **streams)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def run(standin: VerbGuest, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    done = await anyio.run_process(
        command(*arguments), input=given, env=environment(standin.address), check=False
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


async def insist(standin: VerbGuest, send: Callable[[], None], ended: Callable[[], Awaitable[int]]) -> int:
    """Signal twice, and so again where a busy machine lets more than the second pass in which that ends it."""
    while True:
        asked = len(standin.requests["guest-exec-signal"])
        send()
        await standin.until_asked("guest-exec-signal", asked + 1)
        send()
        with anyio.move_on_after(LATE_SECONDS):
            return await ended()


async def until(stream: ByteReceiveStream | None, text: bytes) -> None:
    """Read until something was said."""
    assert stream
    said = b""
    while text not in said:
        said += await stream.receive()


@QGA_TOO
async def test_streams_and_status_are_passed_on(standin: VerbGuest) -> None:
    script = "cat; echo err >&2; exit 7"
    assert await run(standin, "--", "sh", "-c", script, given=b"in") == (7, b"in", b"err\n")


async def test_a_signal_becomes_a_status(standin: VerbGuest) -> None:
    assert await run(standin, "sh", "-c", "kill -9 $$") == (137, b"", b"")


async def test_much_goes_through(standin: VerbGuest) -> None:
    content = bytes(range(256)) * 8000
    assert await run(standin, "cat", given=content) == (0, content, b"")


async def test_options_after_the_command_are_its_own(standin: VerbGuest) -> None:
    assert await run(standin, "echo", "-t", "--help", "--", "-n") == (0, b"-t --help -- -n\n", b"")


async def test_without_stdin(standin: VerbGuest) -> None:
    assert await run(standin, "-n", "cat", given=b"in") == (0, b"", b"")


async def test_variables_and_directory(standin: VerbGuest, tmp_path: Path) -> None:
    status, out, _ = await run(
        standin, "-e", "A=b", "-e", "TERM", "-e", "NOSUCH", "--cwd", str(tmp_path), "env"
    )
    assert status == 0
    assert {line.partition(b"=")[0] for line in out.split()} >= {b"PATH", b"A", b"TERM"}
    assert (await standin.until_asked("guest-exec-live")).arguments["directory"] == str(tmp_path)
    assert b"NOSUCH" not in out
    await run(standin, "-s", "c2", "-e", "A=b", "env")
    in_session = await standin.until_asked("guest-exec-live", 2)
    assert in_session.arguments["env"] == ["A=b"], "the session has a PATH"
    assert in_session.arguments["session"] == "c2"
    assert (await run(standin, "-e", "=b", "env"))[0] == exits.USAGE


@pytest.mark.parametrize(("path", "status"), [("/nosuch", exits.NOT_FOUND), ("/etc/passwd", exits.REFUSED)])
async def test_what_cannot_be_started(standin: VerbGuest, path: str, status: int) -> None:
    found, _, err = await run(standin, path)
    assert found == status
    assert b"Failed to execute" in err


async def test_a_grandchild_is_not_waited_for(standin: VerbGuest) -> None:
    assert await run(standin, "sh", "-c", "echo here; sleep 1000 & exit 5") == (5, b"here\n", b"")


@QGA_TOO
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signals_are_delivered(standin: VerbGuest, number: signal.Signals) -> None:
    script = f"trap 'echo got it; exit 9' {number.name[3:]}; echo ready; while :; do sleep 0.02; done"
    async with running(standin, "-n", "sh", "-c", script) as process:
        await until(process.stdout, b"ready")
        process.send_signal(number)
        await until(process.stdout, b"got it")
        assert await process.wait() == 9


async def test_who_insists_gives_up(standin: VerbGuest) -> None:
    async with running(standin, "-n", "sh", "-c", "trap '' INT; echo ready; sleep 1000") as process:
        await until(process.stdout, b"ready")
        status = await insist(standin, lambda: process.send_signal(signal.SIGINT), process.wait)
        assert status == exits.INTERRUPTED
        await standin.until_asked("guest-exec-close")


async def test_who_insists_gives_up_on_a_guest_that_hangs(standin: VerbGuest) -> None:
    async with running(standin, "-n", "sh", "-c", "echo ready; sleep 1000") as process:
        await until(process.stdout, b"ready")
        standin.commands["guest-exec-signal"] = lambda _: SILENCE
        standin.commands["guest-exec-close"] = lambda _: SILENCE
        numbers = itertools.cycle((signal.SIGINT, signal.SIGTERM))
        status = await insist(standin, lambda: process.send_signal(next(numbers)), process.wait)
        assert status == 128 + signal.SIGTERM


async def test_a_signal_that_cannot_be_delivered(standin: VerbGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("no such luck")

    standin.commands["guest-exec-signal"] = refuse
    async with running(standin, "sh", "-c", "echo ready; read line", stdin=subprocess.PIPE) as process:
        await until(process.stdout, b"ready")
        process.send_signal(signal.SIGINT)
        await until(process.stderr, b"no such luck")
        assert process.stdin
        await process.stdin.send(b"\n")
        assert await process.wait() == 0


async def test_a_reader_that_leaves(standin: VerbGuest) -> None:
    reader, writer = os.pipe()
    async with running(standin, "-n", "yes", stdout=writer) as process:
        os.close(writer)
        await anyio.wait_readable(reader)
        os.close(reader)
        assert await process.wait() == exits.BROKEN_PIPE
        await standin.until_asked("guest-exec-close")


async def test_the_guest_goes(standin: VerbGuest) -> None:
    async with running(standin, "-n", "sleep", "1000") as process:
        await standin.until_asked("guest-exec-read")
        standin.hang_up()
        await until(process.stderr, b"hung up")
        assert await process.wait() == exits.GUESTMUX_FAILED


async def test_a_command_that_reads_no_input(standin: VerbGuest, tmp_path: Path) -> None:
    path = tmp_path / "much"
    path.write_bytes(b"x" * 1_000_000)
    with path.open("rb") as much:
        async with running(standin, "sh", "-c", "exec <&-; echo here; sleep 0.1", stdin=much) as process:
            await until(process.stdout, b"here")
            assert await process.wait() == 0


async def test_policy_refuses(standin: VerbGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("Command guest-exec-live has been disabled", "CommandNotFound")

    standin.commands["guest-exec-live"] = refuse
    assert (await run(standin, "true"))[0] == exits.REFUSED


def test_a_stock_agent(stock: str) -> None:
    def run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command(*arguments), env=environment(stock), input=given, capture_output=True, check=False
        )

    done = run("-v", "sh", "-c", "cat; echo err >&2; exit 3", given=b"in")
    assert (done.returncode, done.stdout) == (3, b"in")
    assert done.stderr.splitlines() == [
        b"guestmux: this guest's agent runs nothing live: the output comes when the command has ended",
        b"err",
    ]
    assert run("/nosuch").returncode == exits.NOT_FOUND
    assert run("-t", "true").returncode == exits.NOT_FOUND
    assert run("--cwd", "/", "true").returncode == exits.NOT_FOUND
    too_much = run("cat", given=b"x" * (17 << 20))
    assert too_much.returncode == exits.USAGE
    assert b"16 MiB" in too_much.stderr


class Terminal:
    """Our terminal, with a guestmux in it."""

    def __init__(self, standin: VerbGuest, *arguments: str) -> None:
        self.ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (11, 22))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(
            command("-t", *arguments),
            env=environment(standin.address),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self.shown = b""

    async def until(self, text: bytes) -> None:
        while text not in self.shown:
            await anyio.wait_readable(self.ours)
            self.shown += os.read(self.ours, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.ours, (rows, columns))
        # It is no controlling terminal, so the kernel does not tell.
        self.process.send_signal(signal.SIGWINCH)

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & termios.ECHO

    @property
    def restored(self) -> bool:
        return termios.tcgetattr(self.theirs) == self.before

    async def status(self) -> int:
        return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@asynccontextmanager
async def terminal(standin: VerbGuest, *arguments: str) -> AsyncIterator[Terminal]:
    terminal = Terminal(standin, *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


@QGA_TOO
async def test_a_terminal_in_a_terminal(standin: VerbGuest) -> None:
    script = (
        'trap resized=1 WINCH; stty size; echo $TERM; read line; echo "got $line";'
        " until [ $resized ]; do sleep 0.02; done; stty size; exit 4"
    )
    async with terminal(standin, "--", "bash", "-c", script) as window:
        await window.until(b"vt100")
        assert b"11 22" in window.shown
        assert window.is_raw
        window.type(b"typed\r")
        await window.until(b"got typed")
        window.resize(33, 44)
        await window.until(b"33 44")
        assert await window.status() == 4
        assert window.restored


async def test_interrupt_is_a_key_there(standin: VerbGuest) -> None:
    script = "trap 'exit 6' INT; echo ready; while :; do sleep 0.02; done"
    async with terminal(standin, "sh", "-c", script) as window:
        await window.until(b"ready")
        window.type(b"\x03")
        assert await window.status() == 6
        assert "guest-exec-signal" not in standin.requests
        assert window.restored


async def test_the_escape_ends_it(standin: VerbGuest) -> None:
    async with terminal(standin, "sh", "-c", "echo ready; read line") as window:
        await window.until(b"ready")
        window.type(ESCAPE * 3)
        assert await window.status() == 128 + signal.SIGHUP
        assert window.restored


async def test_the_terminal_is_restored_when_the_guest_goes(standin: VerbGuest) -> None:
    async with terminal(standin, "sh", "-c", "echo ready; read line") as window:
        await window.until(b"ready")
        standin.hang_up()
        assert await window.status() == exits.GUESTMUX_FAILED
        assert window.restored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGINT])
async def test_the_terminal_is_restored_after_signals(standin: VerbGuest, number: signal.Signals) -> None:
    async with terminal(standin, "sh", "-c", "trap '' INT TERM QUIT HUP; echo ready; read line") as window:
        await window.until(b"ready")
        status = await insist(standin, lambda: window.process.send_signal(number), window.status)
        assert status == 128 + number
        assert window.restored


async def test_a_terminal_without_ours(standin: VerbGuest) -> None:
    status, out, _ = await run(standin, "-t", "-n", "--", "sh", "-c", "stty size; test -t 2")
    assert (status, out) == (0, b"24 80\r\n")


def test_the_escape_is_pressed_in_time() -> None:
    now = 0.0
    keys = EscapeKeys(lambda: now)
    assert not keys.feed(ESCAPE * 2)
    now = 2.0
    assert not keys.feed(ESCAPE), "too late"
    assert not keys.feed(ESCAPE + b"x" + ESCAPE), "something else came between"
    assert keys.feed(ESCAPE * 2)
