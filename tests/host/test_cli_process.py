"""The command line as a process: signals, pipes, terminals, and a shell that completes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from guestmux.cli import exits
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.completion import completed
from tests.support.standin_guest import StandInGuest, session

pytestmark = pytest.mark.anyio

COMMAND = [sys.executable, "-m", "guestmux"]


@pytest.fixture
def dialect() -> str:
    return "qmp"


@asynccontextmanager
async def running(
    standin: StandInGuest, *arguments: str, stdout: int = subprocess.PIPE
) -> AsyncIterator[Process]:
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    process = await anyio.open_process([*COMMAND, *arguments], env=environment, stdout=stdout)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def read_all(stream: object) -> str:
    return "".join([text async for text in TextReceiveStream(stream)])  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_quiet(standin: StandInGuest, number: signal.Signals) -> None:
    async with running(standin, "events") as process:
        await standin.until_asked("guest-event-subscribe")
        process.send_signal(number)
        assert await process.wait() == 128 + number
        assert await read_all(process.stdout) + await read_all(process.stderr) == ""


async def test_nohup_is_obeyed(standin: StandInGuest) -> None:
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "-", *COMMAND, "events"]
    async with await anyio.open_process(command, env=environment) as process:
        await standin.until_asked("guest-event-subscribe")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 128 + signal.SIGTERM


async def test_a_reader_that_leaves_is_no_fault(standin: StandInGuest) -> None:
    reader, writer = os.pipe()
    async with running(standin, "events", stdout=writer) as process:
        os.close(writer)
        await standin.until_asked("guest-event-subscribe")
        os.close(reader)
        standin.emit("X")
        assert await process.wait() == exits.BROKEN_PIPE
        assert await read_all(process.stderr) == ""


async def test_lines_come_at_once_in_a_pipe(standin: StandInGuest) -> None:
    async with running(standin, "events") as process:
        await standin.until_asked("guest-event-subscribe")
        standin.emit("SESSION_LOCK", session="c2")
        assert process.stdout
        assert await process.stdout.receive() == b"SESSION_LOCK session=c2\n"


async def test_a_table_on_a_terminal(standin: StandInGuest) -> None:
    standin.sessions = [session("c2", "[red]alice[/red]\x1b[2J")]
    terminal, other_end = os.openpty()
    environment = {
        **os.environ,
        ADDRESS_VARIABLE: standin.address,
        "TERM": "xterm-256color",
        "COLUMNS": "120",
    }
    process = await anyio.open_process([*COMMAND, "sessions"], env=environment, stdout=other_end)
    os.close(other_end)
    assert await process.wait() == exits.OK
    await process.aclose()
    shown = everything_shown(terminal).decode()
    assert "─" in shown, "it is a rich table"
    assert "[red]alice[/red]\\x1b[2J" in shown, "the guest's text is shown, not obeyed"


def everything_shown(terminal: int) -> bytes:
    """What programs wrote that have left the terminal."""
    shown = b""
    # The end of a terminal is EIO.
    with suppress(OSError):
        while data := os.read(terminal, 65536):
            shown += data
    os.close(terminal)
    return shown


async def test_bash_completes(standin: StandInGuest) -> None:
    standin.sessions = [session("c2"), session("c3", "eve;rm -rf ~")]
    standin.commands["guest-info"] = lambda _: {
        "version": "1",
        "supported_commands": [{"name": "guest-ping"}],
    }

    async def complete(*words: str) -> list[str]:
        return [line.partition(",")[2] for line in await completed(standin.address, *words)]

    assert "sessions" in await complete("ses")
    assert await complete("call", "guest-p") == ["guest-ping"]
    assert await complete("lock", "c") == ["c2", "c3"]
    assert await complete("lock", "user:") == ["user:alice"], "a shell must not get to read the other name"
    assert await complete("events", "SESSION_LOG") == ["SESSION_LOGIN", "SESSION_LOGOUT"]
    standin.hang_up()
    await standin.stop()
    assert "session-lock" in await complete("call", "session-")
    await standin.start()


def test_bash_takes_the_script() -> None:
    script = subprocess.run([*COMMAND, "completion", "bash"], capture_output=True, check=True).stdout
    subprocess.run(["bash", "-n"], input=script, check=True)


def test_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['click'] = None; from guestmux.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "guestmux: the command line needs click: install guestmux[host]\n"


def test_the_sdk_needs_neither_click_nor_rich() -> None:
    code = "import sys; sys.modules.update(click=None, rich=None); import guestmux"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_is_typed() -> None:
    import guestmux

    assert (Path(guestmux.__file__).parent / "py.typed").exists()
