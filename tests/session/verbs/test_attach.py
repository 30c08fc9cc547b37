"""guest-exec-attach: real processes and terminals over a real connection."""

import base64
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_session.verbs import attach as attaching
from guestmux_session.verbs import live_process
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from tests.support.stream_verbs import HostStream, Refused, Streams, serving
from tests.support.verbs import end_all

pytestmark = pytest.mark.anyio

TERMINAL = {"rows": 24, "columns": 80}
MIB = 1 << 20


@pytest.fixture
async def part() -> AsyncIterator[Processes]:
    processes = Processes(SystemSurroundings())
    yield processes
    await end_all(processes)


@pytest.fixture
async def agent(part: Processes) -> AsyncIterator[Streams]:
    async with serving(part) as streams:
        yield streams


async def start(agent: Streams, script: str, **more: Any) -> int:
    answer = await agent.get("guest-exec-live", path="/bin/sh", arg=["-c", script], **more)
    return int(answer["pid"])


def attach(agent: Streams, pid: int, channel: str = "stdio") -> AbstractAsyncContextManager[HostStream]:
    return agent.open("guest-exec-attach", pid=pid, channel=channel)


async def gone(pid: int) -> None:
    while Path(f"/proc/{pid}").exists():
        await anyio.lowlevel.checkpoint()


async def test_input_output_errors_and_the_end(agent: Streams) -> None:
    pid = await start(agent, "echo ready; cat; echo oops >&2; exit 5")
    async with attach(agent, pid) as stdio, attach(agent, pid, "stderr") as stderr:
        assert stdio.reply == stderr.reply == {}
        await stdio.until(b"ready\n")
        await stdio.write(b"hello\n")
        assert await stdio.until(b"\n") == b"hello\n"
        await stdio.end()
        assert await stdio.read_all() == b""
        assert await stdio.result() == {"exitcode": 5}
        assert await stderr.read_all() == b"oops\n"
        assert await stderr.result() is None


async def test_what_it_wrote_before_is_there_and_one_that_ended_tells_how(agent: Streams) -> None:
    pid = await start(agent, "echo early; kill -TERM $$")
    await gone(pid)
    async with attach(agent, pid) as stdio:
        assert await stdio.read_all() == b"early\n"
        assert await stdio.result() == {"signal": signal.SIGTERM}


async def test_every_byte_comes_both_ways(agent: Streams) -> None:
    data = os.urandom(3 * MIB)
    pid = await start(agent, "cat")
    async with attach(agent, pid) as stdio, anyio.create_task_group() as tasks:

        async def send() -> None:
            await stdio.write(data)
            await stdio.end()

        tasks.start_soon(send)
        assert await stdio.read_all() == data
        assert await stdio.result() == {"exitcode": 0}


async def test_a_process_whose_output_nobody_reads_has_to_wait(agent: Streams, part: Processes) -> None:
    pid = await start(agent, f"head -c {16 * MIB} /dev/zero; echo over >&2")
    async with attach(agent, pid) as stdio, attach(agent, pid, "stderr") as stderr:
        output = part._live(pid)._out
        while len(output) < live_process.MAX_HELD:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert len(output) == live_process.MAX_HELD
        assert part._live(pid).child.running
        assert len(await stdio.read_all()) == 16 * MIB
        assert await stderr.read_all() == b"over\n"


async def test_a_process_that_takes_no_input_slows_the_host_down(agent: Streams) -> None:
    pid = await start(agent, "read line; echo $line; sleep 1000")
    sent = 0
    async with attach(agent, pid) as stdio, anyio.create_task_group() as tasks:

        async def send() -> None:
            nonlocal sent
            await stdio.write(b"line\n")
            while True:
                await stdio.write(bytes(65536))
                sent += 65536

        tasks.start_soon(send)
        await stdio.until(b"line\n")
        before = -1
        while before != sent:
            before = sent
            await anyio.wait_all_tasks_blocked()
        assert sent <= 2 * MIB
        tasks.cancel_scope.cancel()


async def test_input_that_is_read_no_more_is_thrown_away(agent: Streams) -> None:
    pid = await start(
        agent, "exec <&-; trap 'echo over; exit 0' TERM; echo closed; while :; do sleep 0.01; done"
    )
    async with attach(agent, pid) as stdio:
        await stdio.until(b"closed\n")
        await stdio.write(bytes(8 * MIB))
        await agent.get("guest-exec-signal", pid=pid, signal="TERM")
        assert await stdio.until(b"over\n") == b"over\n"
        assert await stdio.result() == {"exitcode": 0}
        await stdio.write(bytes(2 * MIB))
        await stdio.end()


async def test_a_terminal_shows_both_and_takes_the_end_as_a_character(agent: Streams) -> None:
    pid = await start(agent, "stty -echo; echo ready; echo oops >&2; cat; stty size", terminal=TERMINAL)
    said = await agent.refused("guest-exec-attach", pid=pid, channel="stderr")
    assert said == f"PID {pid} has a terminal, which shows its stderr as well: attach stdio"
    async with attach(agent, pid) as stdio:
        await stdio.until(b"oops\r\n")
        await stdio.write(b"line\n")
        await stdio.until(b"line\r\n")
        await agent.get("guest-exec-resize", pid=pid, rows=5, columns=7)
        await stdio.end()
        assert await stdio.read_all() == b"5 7\r\n"
        assert await stdio.result() == {"exitcode": 0}


async def test_control_c_is_a_byte(agent: Streams) -> None:
    pid = await start(
        agent, "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.01; done", terminal=TERMINAL
    )
    async with attach(agent, pid) as stdio:
        await stdio.until(b"ready")
        await stdio.write(b"\x03")
        await stdio.until(b"caught")
        await stdio.read_all()
        assert await stdio.result() == {"exitcode": 3}


async def test_signals_reach_it_beside_its_streams(agent: Streams) -> None:
    pid = await start(agent, "echo ready; sleep 1000")
    async with attach(agent, pid) as stdio:
        await stdio.until(b"ready")
        await agent.get("guest-exec-signal", pid=pid, signal="KILL")
        await stdio.read_all()
        assert await stdio.result() == {"signal": 9}


async def test_giving_the_stream_up_leaves_the_process_and_others_may_take_it(agent: Streams) -> None:
    pid = await start(agent, "echo one; cat")
    async with attach(agent, pid) as stdio:
        await stdio.until(b"one\n")
    while True:
        try:
            answer = await agent.get("guest-exec-write", pid=pid, buf_b64=base64.b64encode(b"two\n").decode())
            break
        except Refused:
            await anyio.lowlevel.checkpoint()
    assert answer == {"count": 4}
    async with attach(agent, pid) as stdio:
        assert await stdio.until(b"\n") == b"two\n"
        await stdio.end()
        await stdio.read_all()
        assert await stdio.result() == {"exitcode": 0}


async def test_only_one_has_the_output_and_the_other_is_told(agent: Streams) -> None:
    pid = await start(agent, "cat")
    async with attach(agent, pid):
        taken = f"the stdio of PID {pid} is a stream's (guest-exec-attach)"
        assert await agent.refused("guest-exec-attach", pid=pid) == taken
        for name, more in (("guest-exec-read", {}), ("guest-exec-write", {"buf_b64": ""})):
            with pytest.raises(Refused) as refused:
                await agent.get(name, pid=pid, **more)
            assert str(refused.value) == taken
        async with attach(agent, pid, "stderr"):
            pass


async def test_who_lingers_is_told_that_a_stream_took_the_output(agent: Streams) -> None:
    pid = await start(agent, "cat")
    said: list[str] = []

    async def linger() -> None:
        try:
            await agent.get("guest-exec-read", pid=pid, linger=30)
        except Refused as error:
            said.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(linger)
        await anyio.wait_all_tasks_blocked()
        async with attach(agent, pid):
            await anyio.wait_all_tasks_blocked()
    assert said == [f"the stdio of PID {pid} is a stream's (guest-exec-attach)"]


async def test_stderr_alone_leaves_the_input_to_others(agent: Streams) -> None:
    pid = await start(agent, "read line; echo $line >&2")
    async with attach(agent, pid, "stderr") as stderr:
        await agent.get("guest-exec-write", pid=pid, buf_b64=base64.b64encode(b"x\n").decode())
        assert await stderr.read_all() == b"x\n"


async def test_a_service_that_stays_behind_does_not_keep_the_host(agent: Streams) -> None:
    pid = await start(agent, "sleep 1000 & echo $!")
    async with attach(agent, pid) as stdio, attach(agent, pid, "stderr") as stderr:
        left = int(await stdio.read_all())
        assert await stdio.result() == {"exitcode": 0}
        assert await stderr.read_all() == b""
    os.kill(left, signal.SIGKILL)


async def test_output_that_comes_after_the_end_is_waited_for_as_long_as_it_comes(
    agent: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "DRAIN_SILENCE", 30.0)
    pid = await start(agent, "(for i in 1 2 3 4; do sleep 0.02; echo $i; done) &")
    async with attach(agent, pid) as stdio:
        assert await stdio.read_all() == b"1\n2\n3\n4\n"
        assert await stdio.result() == {"exitcode": 0}


async def test_output_may_end_long_before_the_process(agent: Streams) -> None:
    pid = await start(agent, "exec >&-; read line; exit 4")
    async with attach(agent, pid) as stdio:
        await anyio.wait_all_tasks_blocked()
        await stdio.write(b"go\n")
        assert await stdio.read_all() == b""
        assert await stdio.result() == {"exitcode": 4}


@pytest.mark.parametrize("terminal", [{}, {"terminal": TERMINAL}])
async def test_closing_it_hangs_up_and_breaks_the_streams(agent: Streams, terminal: dict[str, Any]) -> None:
    pid = await start(agent, "echo ready; read line", **terminal)
    async with attach(agent, pid) as stdio:
        await stdio.until(b"ready")
        await agent.get("guest-exec-close", pid=pid)
        with pytest.raises(Refused, match=f"PID {pid} was closed by guest-exec-close"):
            await stdio.read_all()
        await gone(pid)
    assert await agent.refused("guest-exec-attach", pid=pid) == f"PID {pid} does not exist"


async def test_closing_it_breaks_a_stream_of_its_errors(agent: Streams) -> None:
    pid = await start(agent, "read line")
    async with attach(agent, pid, "stderr") as stderr:
        await agent.get("guest-exec-close", pid=pid)
        with pytest.raises(Refused, match="was closed"):
            await stderr.read_all()


async def test_only_a_live_process_has_streams(agent: Streams) -> None:
    pid = (await agent.get("guest-exec", path="/bin/true"))["pid"]
    assert (
        await agent.refused("guest-exec-attach", pid=pid) == f"PID {pid} was not started by guest-exec-live"
    )
    assert await agent.refused("guest-exec-attach", pid=-1) == "PID -1 does not exist"
    assert "does not accept value" in await agent.refused("guest-exec-attach", pid=pid, channel="stdout")
