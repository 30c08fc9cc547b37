"""Processes whose pipes are streams, against a guest that does as it is told."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import guestmux
from guestmux.process_attached import AttachedProcess
from tests.support.standin_guest import Refused, StandInGuest
from tests.support.standin_mux import StandInStream

pytestmark = pytest.mark.anyio

PID = 7


@pytest.fixture
def dialect() -> str:
    return "mux"


class Pipes:
    """The agent's end of a process."""

    def __init__(self, standin: StandInGuest) -> None:
        self.credit = 1 << 20
        self._standin = standin
        standin.commands["guest-exec-live"] = lambda _: {"pid": PID}
        standin.commands["guest-exec-close"] = lambda _: {}
        standin.streams["guest-exec-attach"] = lambda stream: stream.accept(credit=self.credit)

    def __getitem__(self, channel: str) -> StandInStream:
        opened = self._standin.opened["guest-exec-attach"]
        (stream,) = (stream for stream in opened if stream.request.arguments["channel"] == channel)
        assert stream.request.arguments["pid"] == PID
        return stream


@pytest.fixture
def pipes(standin: StandInGuest) -> Pipes:
    return Pipes(standin)


async def test_from_beginning_to_end(guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes) -> None:
    async with await guest.exec(["x"], stdin=b"in", session="c2") as process:
        assert isinstance(process, AttachedProcess)
        await standin.until(lambda: pipes["stdio"].closed is not None)
        assert pipes["stdio"].received == b"in"
        pipes["stdio"].send(b"out")
        pipes["stderr"].send(b"err")
        pipes["stderr"].close()
        pipes["stdio"].close({"exitcode": 3})
        done = await process.communicate()
    assert done == guestmux.Completed(guestmux.ExitStatus(3), b"out", b"err")
    assert standin.requests["guest-exec-live"][0].arguments["session"] == "c2"
    assert standin.requests["guest-exec-close"]


async def test_a_terminal_has_one_output(guest: guestmux.Guest, pipes: Pipes) -> None:
    async with await guest.exec(["x"], terminal=guestmux.TerminalSize()) as process:
        pipes["stdio"].close({"signal": 15})
        assert await process.stderr.read() == b""
        assert (await process.wait()).status == 128 + 15


async def test_what_came_before_the_end_is_read_after_it(guest: guestmux.Guest, pipes: Pipes) -> None:
    async with await guest.exec(["x"]) as process:
        pipes["stdio"].send(b"out")
        pipes["stderr"].close()
        pipes["stdio"].close({"exitcode": 0})
        await process.wait()
    assert await process.stdout.read() == b"out"


async def test_who_closes_it_gives_it_up(guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes) -> None:
    async with await guest.exec(["x"]) as process:
        pass
    await standin.until(lambda: bool(pipes["stdio"].closed and pipes["stderr"].closed))
    for work in (process.wait, process.stdout.receive, process.stderr.read):
        with pytest.raises(guestmux.GuestmuxError, match="closed"):
            await work()


async def test_input_that_a_process_never_takes(
    guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes
) -> None:
    pipes.credit = 1
    async with await guest.exec(["x"]) as process, anyio.create_task_group() as tasks:

        async def fill() -> None:
            with pytest.raises(guestmux.RemoteError, match="has ended"):
                await process.stdin.send(b"12")

        tasks.start_soon(fill)
        await standin.until(lambda: pipes["stdio"].received == b"1")
        pipes["stdio"].close({"exitcode": 0})
        assert (await process.wait()).code == 0
        with pytest.raises(guestmux.RemoteError, match="has ended"):
            await process.stdin.send(b"3")


async def test_output_that_nobody_wants(guest: guestmux.Guest, pipes: Pipes) -> None:
    async with await guest.exec(["x"]) as process:
        await process.stdout.aclose()
        with pytest.raises(anyio.EndOfStream):
            await process.stdout.receive()
        for _ in range(4):
            pipes["stdio"].send(b"x" * pipes["stdio"].room)
            await guest.ping()
        assert pipes["stdio"].room, "it is thrown away, so the process goes on"
        pipes["stdio"].close({"exitcode": 0})
        assert (await process.wait()).code == 0


async def test_the_connection_is_lost(guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes) -> None:
    async with await guest.exec(["x"]) as process:
        assert pipes["stdio"]
        standin.hang_up()
        for work in (process.wait, process.stdout.receive, process.stderr.read):
            with pytest.raises(guestmux.ConnectionLost):
                await work()
    assert not standin.requests["guest-exec-close"], "the guest knows it no more"


async def test_the_agent_is_gone(guest: guestmux.Guest, pipes: Pipes) -> None:
    async with await guest.exec(["x"]) as process:
        pipes["stdio"].fail("the agent disconnected")
        pipes["stderr"].fail("the agent disconnected")
        for work in (process.wait, process.stdout.receive, process.stderr.read):
            with pytest.raises(guestmux.StreamFailed, match="disconnected"):
                await work()


@pytest.mark.parametrize("value", [None, 5, {"exitcode": "x"}])
async def test_a_last_word_of_another_form(guest: guestmux.Guest, pipes: Pipes, value: Any) -> None:
    async with await guest.exec(["x"]) as process:
        pipes["stdio"].close(value)
        with pytest.raises(guestmux.UnexpectedReply, match="guest-exec-attach"):
            await process.wait()


async def test_an_agent_without_streams_is_asked_by_calls(
    guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes
) -> None:
    del standin.streams["guest-exec-attach"]
    ended = {
        "out-data": "b3V0",
        "err-data": "",
        "out-eof": True,
        "err-eof": True,
        "exited": True,
        "exitcode": 4,
    }
    standin.commands["guest-exec-read"] = lambda _: ended
    async with await guest.exec(["x"]) as process:
        assert "LiveProcess" in repr(process)
        assert (await process.communicate()).exit.code == 4


@pytest.mark.parametrize("refused", ["stdio", "stderr"])
async def test_what_cannot_be_attached_is_closed(
    guest: guestmux.Guest, standin: StandInGuest, pipes: Pipes, refused: str
) -> None:
    def refuse(stream: StandInStream) -> None:
        if stream.request.arguments["channel"] == refused:
            raise Refused("already attached")
        stream.accept()

    standin.commands["guest-exec-read"] = lambda _: {
        "out-data": "",
        "err-data": "",
        "out-eof": True,
        "err-eof": True,
        "exited": True,
        "exitcode": 0,
    }
    standin.streams["guest-exec-attach"] = refuse
    with pytest.raises(guestmux.CommandFailed, match="already attached"):
        await guest.exec(["x"])
    assert standin.requests["guest-exec-close"]
    if refused == "stderr":
        await standin.until(lambda: pipes["stdio"].closed is not None)
