"""Processes through the library: live against an agent's real ones, by guest-exec against a stock qemu-ga."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

import guestmux
from guestmux import output as output_module
from tests.support.standin_guest import Refused, StandInGuest
from tests.support.verb_guest import VerbGuest, verb_guest

pytestmark = pytest.mark.anyio

CONCURRENT = pytest.mark.parametrize("dialect", ["mux", "qmp"])


@pytest.fixture
async def standin(dialect: str, anyio_backend: str) -> AsyncIterator[VerbGuest]:
    with TemporaryDirectory(prefix="guestmux-host-") as directory:
        async with verb_guest(Path(directory), dialect) as standin:
            yield standin


async def test_a_process_from_beginning_to_end(guest: guestmux.Guest, tmp_path: Path) -> None:
    script = 'cat; pwd; echo "$A" >&2; exit 3'
    done = await guest.run(["/bin/sh", "-c", script], stdin=b"in\n", env={"A": "b"}, cwd=str(tmp_path))
    assert done.stdout == f"in\n{tmp_path}\n".encode()
    assert done.stderr == b"b\n"
    assert (done.exit.code, done.exit.signal, done.exit.status) == (3, None, 3)


async def test_output_comes_while_it_runs(guest: guestmux.Guest) -> None:
    async with await guest.exec(["sh", "-c", "echo one; read line; echo $line"]) as process:
        assert process.live
        assert process.exit is None
        assert await process.stdout.receive() == b"one\n"
        await process.stdin.send(b"two\n")
        assert await process.stdout.receive() == b"two\n"
        assert (await process.wait()).code == 0
        with pytest.raises(anyio.EndOfStream):
            await process.stdout.receive()
    assert "LiveProcess" in repr(process)


async def test_much_goes_through(guest: guestmux.Guest) -> None:
    content = bytes(range(256)) * 8000
    done = await guest.run(["cat"], stdin=content)
    assert done.stdout == content


async def test_signals_reach_the_group(guest: guestmux.Guest) -> None:
    async with await guest.exec(["sh", "-c", "echo here; sleep 1000; echo never"]) as process:
        assert await process.stdout.receive() == b"here\n"
        await process.terminate()
        status = await process.wait()
    assert status.signal == signal.SIGTERM
    assert status.status == 128 + signal.SIGTERM


async def test_a_terminal(guest: guestmux.Guest) -> None:
    size = guestmux.TerminalSize(rows=11, columns=22, type="vt100")
    script = "trap 'stty size; exit' WINCH; stty size; echo $TERM; while :; do sleep 0.02; done"
    async with await guest.exec(["sh", "-c", script], terminal=size) as process:
        shown = b""
        while b"vt100" not in shown:
            shown += await process.stdout.receive()
        assert b"11 22" in shown
        await process.resize(33, 44)
        while b"33 44" not in shown:
            shown += await process.stdout.receive()


async def test_who_closes_it_hangs_it_up(guest: guestmux.Guest, standin: VerbGuest) -> None:
    async with await guest.exec(["sh", "-c", "echo here; cat"]) as process:
        assert await process.stdout.receive() == b"here\n"
    await standin.until_asked("guest-exec-close")
    with pytest.raises(guestmux.GuestmuxError, match="closed"):
        await process.wait()


async def test_who_closes_it_at_once(guest: guestmux.Guest) -> None:
    process = await guest.exec(["cat"])
    await process.aclose()
    for wait in (process.wait, process.stdout.receive, process.communicate):
        with pytest.raises(guestmux.GuestmuxError, match="closed"):
            await wait()


async def test_a_grandchild_with_the_pipe_is_not_waited_for(guest: guestmux.Guest) -> None:
    async with await guest.exec(["sh", "-c", "echo here; sleep 1000 & exit 5"]) as process:
        done = await process.communicate()
    assert done.stdout == b"here\n"
    assert done.exit.code == 5


@CONCURRENT
async def test_nothing_is_read_that_nobody_takes(
    guest: guestmux.Guest, standin: VerbGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "MAX_BUFFERED", 1)
    async with await guest.exec(["sh", "-c", "echo one; read line; echo two; read line"]) as process:
        assert isinstance(process.stdout, output_module.BufferedOutput)
        while not process.stdout._buffer:
            await anyio.lowlevel.checkpoint()
        await process.stdin.send(b"\n")
        await guest.ping()
        assert len(standin.requests["guest-exec-read"]) == 1
        assert await process.stdout.receive() == b"one\n"
        assert await process.stdout.receive() == b"two\n"


@CONCURRENT
async def test_the_guest_goes(guest: guestmux.Guest, standin: VerbGuest) -> None:
    async with await guest.exec(["cat"]) as process:
        await standin.until_asked("guest-exec-read")
        standin.hang_up()
        with pytest.raises(guestmux.ConnectionLost):
            await process.stdout.receive()
        with pytest.raises(guestmux.ConnectionLost):
            await process.wait()
        await standin.stop()


@CONCURRENT
async def test_its_input_may_be_left(guest: guestmux.Guest) -> None:
    done = await guest.run(["true"], stdin=b"x" * 1_000_000)
    assert done.exit.code == 0


async def test_what_cannot_be_started(guest: guestmux.Guest) -> None:
    with pytest.raises(guestmux.CommandFailed, match="No such file"):
        await guest.exec(["/nosuch"])


@CONCURRENT
async def test_where_nothing_runs_live(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("The command guest-exec-live has not been found", "CommandNotFound")

    standin.commands["guest-exec-live"] = refuse
    async with await guest.exec(["cat"], stdin=b"x") as process:
        assert not process.live
        assert (await process.communicate()).stdout == b"x"
    for needs in ({"cwd": "/"}, {"terminal": guestmux.TerminalSize()}, {"live": True}):
        with pytest.raises(guestmux.CommandNotFound):
            await guest.exec(["cat"], **needs)


@CONCURRENT
async def test_policy_is_not_gone_around(guest: guestmux.Guest, standin: StandInGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("Command guest-exec-live has been disabled", "CommandNotFound")

    standin.commands["guest-exec-live"] = refuse
    with pytest.raises(guestmux.CommandDisabled):
        await guest.exec(["cat"])


async def test_a_stock_agent(stock: str) -> None:
    async with guestmux.connect(stock) as guest:
        done = await guest.run(["sh", "-c", "cat; echo err >&2; kill -9 $$"], stdin=b"in")
        assert (done.stdout, done.stderr) == (b"in", b"err\n")
        assert (done.exit.code, done.exit.signal) == (None, signal.SIGKILL)
        async with await guest.exec(["sleep", "0.05"]) as process:
            with pytest.raises(anyio.ClosedResourceError):
                await process.stdin.send(b"x")
            await process.stdin.aclose()
            with pytest.raises(guestmux.CommandNotFound):
                await process.terminate()
            assert (await process.wait()).code == 0


async def test_a_stock_agent_keeps_16_mib(stock: str) -> None:
    async with guestmux.connect(stock) as guest:
        done = await guest.run(["head", "-c", str(17 << 20), "/dev/zero"])
        assert len(done.stdout) == 16 << 20
        assert done.exit.truncated
