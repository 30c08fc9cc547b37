"""guest-exec-live and what belongs to it: output while it runs, input, terminals, and bounds."""

import base64
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_session.errors import CommandError
from guestmux_session.verbs import live_process
from guestmux_session.verbs.input import Input
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from tests.support.verbs import Verbs, end_all

pytestmark = pytest.mark.anyio

TERMINAL = {"rows": 24, "columns": 80}


@pytest.fixture
async def verbs() -> AsyncIterator[Verbs]:
    part = Processes(SystemSurroundings())
    yield Verbs(part)
    await end_all(part)


class Live:
    """A live process, as a host sees it."""

    def __init__(self, verbs: Verbs, pid: int) -> None:
        self.verbs = verbs
        self.pid = pid
        self.out = self.err = b""
        self.last: dict[str, Any] = {}

    @classmethod
    async def start(cls, verbs: Verbs, script: str, **more: Any) -> "Live":
        answer = await verbs.get("guest-exec-live", path="/bin/sh", arg=["-c", script], **more)
        return cls(verbs, answer["pid"])

    async def read(self, linger: float = 30, **more: Any) -> dict[str, Any]:
        """Read once; the two streams are collected."""
        self.last = await self.verbs.get("guest-exec-read", pid=self.pid, linger=linger, **more)
        self.out += base64.b64decode(self.last.pop("out-data"))
        self.err += base64.b64decode(self.last.pop("err-data"))
        return self.last

    async def until(self, text: bytes) -> None:
        """Read until something was written."""
        while text not in self.out + self.err:
            await self.read()

    async def end(self) -> dict[str, Any]:
        """Read until there is nothing more to tell."""
        while not (self.last.get("exited") and self.last["out-eof"] and self.last["err-eof"]):
            await self.read()
        return self.last

    async def write(self, data: bytes, **more: Any) -> int:
        answer = await self.verbs.get("guest-exec-write", pid=self.pid, buf_b64=b64(data), **more)
        return int(answer["count"])

    async def gone(self) -> None:
        while Path(f"/proc/{self.pid}").exists():
            await anyio.lowlevel.checkpoint()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_output_is_there_while_the_process_runs_and_input_goes_in(verbs: Verbs) -> None:
    live = await Live.start(verbs, "echo ready; read line; echo got $line; echo oops >&2; exit 5")
    await live.until(b"ready\n")
    assert live.last == {"out-eof": False, "err-eof": False, "exited": False}
    assert await live.write(b"hello\n") == 6
    assert await live.end() == {"out-eof": True, "err-eof": True, "exited": True, "exitcode": 5}
    assert (live.out, live.err) == (b"ready\ngot hello\n", b"oops\n")


async def test_the_end_of_input_is_told(verbs: Verbs) -> None:
    live = await Live.start(verbs, "cat; echo over")
    assert await live.write(b"some\n", eof=True) == 5
    await live.end()
    assert live.out == b"some\nover\n"
    assert (
        await verbs.refused("guest-exec-write", pid=live.pid, buf_b64="") == "the process's input is closed"
    )


async def test_a_read_without_linger_answers_at_once_and_one_that_lingers_waits(verbs: Verbs) -> None:
    live = await Live.start(verbs, "read line; echo $line")
    assert await live.read(linger=0) == {"out-eof": False, "err-eof": False, "exited": False}
    async with anyio.create_task_group() as group:
        group.start_soon(live.until, b"now\n")
        await anyio.wait_all_tasks_blocked()
        await live.write(b"now\n")
    assert live.out == b"now\n"


async def test_a_lingering_read_hears_of_each_end_once_and_then_all_are_told_at_once(verbs: Verbs) -> None:
    live = await Live.start(verbs, "exec >&-; read line; exec 2>&-; read line; exit 1")
    while not live.last.get("out-eof"):
        await live.read()
    assert live.last == {"out-eof": True, "err-eof": False, "exited": False}
    await live.write(b"\n")
    while not live.last["err-eof"]:
        await live.read()
    assert live.last == {"out-eof": True, "err-eof": True, "exited": False}
    await live.write(b"\n")
    over = {"out-eof": True, "err-eof": True, "exited": True, "exitcode": 1}
    assert await live.read() == over
    assert await live.read() == over


async def test_what_is_not_read_makes_the_process_wait(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_process, "MAX_HELD", 10_000)
    live = await Live.start(verbs, "head -c 1000000 /dev/zero; echo done >&2")
    await live.read(max_bytes=1)
    await anyio.wait_all_tasks_blocked()
    assert len(live.out) == 1
    assert live.err == b""
    await live.read(linger=0, max_bytes=1_000_000)
    assert len(live.out) <= 10_001
    await live.end()
    assert (live.out, live.err) == (bytes(1_000_000), b"done\n")


async def test_max_bytes_bounds_each_stream(verbs: Verbs) -> None:
    live = await Live.start(verbs, "echo 0123456789; echo abcdefghij >&2")
    while not live.last.get("exited"):
        await live.read(max_bytes=3)
        assert len(live.out) % 3 == 0 or len(live.out) == 11
    await live.end()
    assert (live.out, live.err) == (b"0123456789\n", b"abcdefghij\n")


async def test_a_write_takes_what_there_is_room_for(verbs: Verbs) -> None:
    live = await Live.start(verbs, "kill -STOP $$; wc -c")
    data = bytes(1_000_000)
    taken = await live.write(data, eof=True)
    assert 0 < taken < len(data)
    # Or it would be told to go on before it has stopped.
    await anyio.to_thread.run_sync(os.waitid, os.P_PID, live.pid, os.WSTOPPED | os.WNOWAIT)
    os.kill(live.pid, signal.SIGCONT)
    while taken < len(data):
        taken += await live.write(data[taken:], eof=True)
    await live.end()
    assert int(live.out) == 1_000_000


async def test_a_write_that_waits_for_room_goes_on_when_there_is_some(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    live = await Live.start(verbs, f"read line < {tmp_path}/gate; wc -c")
    filled = await live.write(b"x" * 1_000_000)
    assert filled < 1_000_000
    waiting: list[int] = []

    async def write() -> None:
        waiting.append(await live.write(b"yy", eof=True))

    async with anyio.create_task_group() as group:
        group.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert waiting == []
        await anyio.to_thread.run_sync((tmp_path / "gate").write_text, "go\n")
    await live.end()
    assert (waiting, int(live.out)) == ([2], filled + 2)


async def test_a_write_that_finds_no_room_says_so() -> None:
    reader, writer = os.pipe()
    stream = Input(writer, patience=0.01)
    assert await stream.write(bytes(1_000_000), end=False) > 0
    assert await stream.write(b"x", end=True) == 0
    os.read(reader, 1_000_000)
    assert await stream.write(b"x", end=True) == 1
    os.close(reader)


async def test_a_write_that_waits_ends_when_the_stream_is_closed() -> None:
    reader, writer = os.pipe()
    stream = Input(writer)
    await stream.write(bytes(1_000_000), end=False)
    async with anyio.create_task_group() as group:
        group.start_soon(_expect_closed, stream)
        await anyio.wait_all_tasks_blocked()
        stream.close()
    os.close(reader)


async def _expect_closed(stream: Input) -> None:
    with pytest.raises(CommandError, match="is closed"):
        await stream.write(b"x", end=False)


async def test_nobody_reads_any_more(verbs: Verbs) -> None:
    live = await Live.start(verbs, "exec <&-; echo closed; exec sleep 1000")
    await live.until(b"closed\n")
    said = await verbs.refused("guest-exec-write", pid=live.pid, buf_b64=b64(b"x"))
    assert said == "the process reads no input any more"


async def test_closing_ends_input_and_output_and_forgets_it(verbs: Verbs) -> None:
    live = await Live.start(verbs, "cat; yes")
    await verbs.get("guest-exec-close", pid=live.pid)
    await live.gone()
    assert await verbs.refused("guest-exec-read", pid=live.pid) == f"PID {live.pid} does not exist"


async def test_a_read_that_lingers_ends_when_the_process_is_closed(verbs: Verbs) -> None:
    live = await Live.start(verbs, "exec sleep 1000")
    async with anyio.create_task_group() as group:
        group.start_soon(live.read)
        await anyio.wait_all_tasks_blocked()
        await verbs.get("guest-exec-close", pid=live.pid)
    assert live.last == {"out-eof": True, "err-eof": True, "exited": False}
    os.kill(live.pid, signal.SIGKILL)
    await live.gone()


@pytest.mark.parametrize(
    ("name", "more"), [("read", {}), ("write", {"buf_b64": ""}), ("resize", {"rows": 1, "columns": 1})]
)
async def test_one_of_guest_exec_is_not_read_live(verbs: Verbs, name: str, more: dict[str, Any]) -> None:
    pid = (await verbs.get("guest-exec", path="/bin/true"))["pid"]
    said = await verbs.refused(f"guest-exec-{name}", pid=pid, **more)
    assert said == f"PID {pid} was not started by guest-exec-live"


async def test_a_live_one_has_no_status(verbs: Verbs) -> None:
    live = await Live.start(verbs, "exit 0")
    assert "guest-exec-read" in await verbs.refused("guest-exec-status", pid=live.pid)


async def test_a_terminal_is_the_processs_own_with_size_and_type(verbs: Verbs) -> None:
    live = await Live.start(
        verbs, "stty size; echo $TERM; tty < /dev/tty", terminal={**TERMINAL, "type": "vt100"}
    )
    assert await live.end() == {"out-eof": True, "err-eof": True, "exited": True, "exitcode": 0}
    size, kind, tty = live.out.decode().split("\r\n")[:3]
    assert (size, kind) == ("24 80", "vt100")
    assert tty == "/dev/tty"


async def test_term_is_what_env_says_where_that_says_so(verbs: Verbs) -> None:
    live = await Live.start(verbs, "echo $TERM", terminal=TERMINAL, env=["TERM=dumb"])
    await live.end()
    assert live.out == b"dumb\r\n"


async def test_another_size_is_told_by_sigwinch(verbs: Verbs) -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done"
    live = await Live.start(verbs, script, terminal=TERMINAL)
    await live.until(b"ready")
    await verbs.get("guest-exec-resize", pid=live.pid, rows=50, columns=132)
    await live.until(b"50 132")
    await live.end()
    assert "has left its terminal" in await verbs.refused(
        "guest-exec-resize", pid=live.pid, rows=1, columns=1
    )


async def test_pipes_have_no_size(verbs: Verbs) -> None:
    live = await Live.start(verbs, "exit")
    said = await verbs.refused("guest-exec-resize", pid=live.pid, rows=1, columns=1)
    assert said == f"PID {live.pid} has no terminal"


async def test_ctrl_c_on_a_terminal_interrupts(verbs: Verbs) -> None:
    live = await Live.start(verbs, "echo ready; exec sleep 1000", terminal=TERMINAL)
    await live.until(b"ready")
    await live.write(b"\x03")
    assert (await live.end())["signal"] == signal.SIGINT


async def test_the_end_of_input_on_a_terminal_is_a_character(verbs: Verbs) -> None:
    live = await Live.start(verbs, "stty -echo; echo ready; cat; echo over; cat", terminal=TERMINAL)
    await live.until(b"ready")
    await live.write(b"one\n", eof=True)
    await live.until(b"over")
    await live.write(b"two\n", eof=True)
    assert (await live.end())["exitcode"] == 0
    assert live.out == b"ready\r\none\r\nover\r\ntwo\r\n"


async def test_closing_a_terminal_hangs_up(verbs: Verbs) -> None:
    live = await Live.start(verbs, "echo ready; sleep 1000", terminal=TERMINAL)
    await live.until(b"ready")
    await verbs.get("guest-exec-close", pid=live.pid)
    await live.gone()


@pytest.mark.parametrize("terminal", [{}, {"terminal": TERMINAL}])
@pytest.mark.parametrize(
    ("path", "said"),
    [("/nowhere", "No such file"), ("nowhere", "No such file"), ("/tmp", "Permission denied")],
)
async def test_what_cannot_be_started_is_told(
    verbs: Verbs, path: str, said: str, terminal: dict[str, Any]
) -> None:
    assert said in await verbs.refused("guest-exec-live", path=path, **terminal)


@pytest.mark.parametrize("terminal", [{}, {"terminal": TERMINAL}])
async def test_it_starts_where_it_is_told_to(verbs: Verbs, tmp_path: Path, terminal: dict[str, Any]) -> None:
    live = await Live.start(verbs, "pwd", directory=str(tmp_path), **terminal)
    await live.end()
    assert live.out.decode().strip() == str(tmp_path)
    said = await verbs.refused("guest-exec-live", path="/bin/true", directory="/nowhere", **terminal)
    assert said == "cannot start in directory '/nowhere': No such file or directory"


async def test_nothing_is_left_open(verbs: Verbs) -> None:
    await (await Live.start(verbs, "exit")).end()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for more in ({}, {"terminal": TERMINAL}):
        live = await Live.start(verbs, "echo x", **more)
        await live.end()
        await verbs.get("guest-exec-close", pid=live.pid)
        await verbs.refused("guest-exec-live", path="/nowhere", **more)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_an_agent_that_stops_hangs_up() -> None:
    part = Processes(SystemSurroundings())
    live = await Live.start(Verbs(part), "echo ready; sleep 1000", terminal=TERMINAL)
    await live.until(b"ready")
    part.close_all()
    _, status = await anyio.to_thread.run_sync(os.waitpid, live.pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGHUP
