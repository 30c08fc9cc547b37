"""guest-exec and guest-exec-status: against a real qemu-ga, and where we are to do better."""

import base64
import json
import os
import resource
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_session.verbs import processes, recorded_process
from guestmux_session.verbs.processes import Processes
from guestmux_session.verbs.surroundings import SystemSurroundings
from tests.support.qemu_ga import QEMU_GA, QemuGa, qemu_ga
from tests.support.verbs import Verbs, end_all

pytestmark = pytest.mark.anyio
needs_qemu_ga = pytest.mark.skipif(QEMU_GA is None, reason="needs qemu-ga")

NEVER = 2**22 + 1
"""More than the kernel gives as a pid."""


@pytest.fixture
async def part() -> AsyncIterator[Processes]:
    part = Processes(SystemSurroundings())
    yield part
    await end_all(part)


@pytest.fixture
async def verbs(part: Processes) -> Verbs:
    return Verbs(part)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "arg": ["-c", script], **more}


async def ended(verbs: Verbs, pid: int) -> dict[str, Any]:
    """Ask until a process has ended, as hosts do."""
    while not (status := await verbs.get("guest-exec-status", pid=pid))["exited"]:
        await anyio.lowlevel.checkpoint()
    return readable(status)


def readable(status: dict[str, Any]) -> dict[str, Any]:
    return {name: base64.b64decode(value) if "data" in name else value for name, value in status.items()}


async def run(verbs: Verbs, **asked: Any) -> dict[str, Any]:
    """Run a process to its end; what it left, or the error."""
    answer = await verbs.call("guest-exec", **asked)
    return await ended(verbs, answer["return"]["pid"]) if "return" in answer else answer


def run_stock(peer: QemuGa, asked: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {name.replace("_", "-"): value for name, value in asked.items()}
    answer: dict[str, Any] = peer.ask(json.dumps({"execute": "guest-exec", "arguments": arguments}).encode())
    if "error" in answer:
        return answer
    question = {"execute": "guest-exec-status", "arguments": answer["return"]}
    while not (status := peer.ask(json.dumps(question).encode())["return"])["exited"]:
        pass
    return readable(status)


AS_IN_QEMU_GA: list[dict[str, Any]] = [
    {"path": "/bin/true"},
    {"path": "true"},
    shell("exit 3", capture_output=False),
    shell("echo out; echo err >&2", capture_output=True),
    shell("echo out; echo err >&2; kill -9 $$", capture_output=True),
    shell("kill -TERM $$"),
    {"path": "env", "env": ["A=b"], "capture_output": True},
    {"path": "env", "env": [], "capture_output": True},
    {"path": "env", "env": ["A=b=c", "B="], "capture_output": True},
    {"path": "env", "env": ["PATH=/nowhere"]},
    {"path": "cat", "input_data": b64(b"hi\0\xff"), "capture_output": True},
    {"path": "cat", "input_data": "", "capture_output": True},
    {"path": "cat", "capture_output": True},
    {"path": "cat", "input_data": "!!"},
    {"path": "echo", "arg": ["a b", "", "'$x"], "capture_output": True},
    {"path": "nowhere"},
    {"path": "/nowhere"},
    {"path": ""},
    {"path": "/tmp"},
    {"path": "/etc/passwd"},
    {"path": "pwd", "capture_output": True},
    shell("yes | head -c 3000000", capture_output=True),
    {"path": "sh", "arg": ["-c", "(echo late) & exit 0"], "capture_output": True},
]


@needs_qemu_ga
@pytest.mark.parametrize("asked", AS_IN_QEMU_GA, ids=lambda asked: f"{asked['path']}-{asked.get('arg', '')}")
async def test_every_answer_is_qemu_gas(verbs: Verbs, tmp_path: Path, asked: dict[str, Any]) -> None:
    with qemu_ga(tmp_path) as peer:
        theirs = run_stock(peer, asked)
    assert await run(verbs, **asked) == theirs


class Holding(SystemSurroundings):
    """Keeps every process back until it was adopted."""

    adopts = True

    def __init__(self, mark: Path) -> None:
        self.mark = mark
        self.was_there: list[bool] = []

    async def adopt(self, pid: int) -> None:
        self.was_there.append(self.mark.exists())


# In between is a shell, which adds PWD.
HELD = [asked for asked in AS_IN_QEMU_GA if "env" not in asked]


@needs_qemu_ga
@pytest.mark.parametrize("asked", HELD, ids=lambda asked: f"{asked['path']}-{asked.get('arg', '')}")
async def test_every_answer_is_qemu_gas_where_processes_are_held(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    with qemu_ga(tmp_path) as peer:
        theirs = run_stock(peer, asked)
    part = Processes(Holding(tmp_path / "mark"))
    assert await run(Verbs(part), **asked) == theirs
    await end_all(part)


async def test_a_process_does_nothing_before_it_was_adopted(tmp_path: Path) -> None:
    surroundings = Holding(tmp_path / "mark")
    part = Processes(surroundings)
    for terminal in ({}, {"terminal": {"rows": 24, "columns": 80}}):
        surroundings.mark.unlink(missing_ok=True)
        live = await Verbs(part).get(
            "guest-exec-live", path="touch", arg=[str(surroundings.mark)], **terminal
        )
        while not (await Verbs(part).get("guest-exec-read", pid=live["pid"], linger=30))["exited"]:
            pass
        assert surroundings.mark.exists()
    assert surroundings.was_there == [False, False]
    await end_all(part)


@pytest.mark.parametrize(
    ("mode", "out", "err"),
    [
        (False, None, None),
        (True, b"out\n", b"err\n"),
        ("none", None, None),
        ("stdout", b"out\n", None),
        ("stderr", None, b"err\n"),
        ("separated", b"out\n", b"err\n"),
        ("merged", b"out\nerr\n", None),
    ],
)
async def test_each_capture_mode(verbs: Verbs, mode: Any, out: bytes | None, err: bytes | None) -> None:
    status = await run(verbs, **shell("echo out; echo err >&2", capture_output=mode))
    assert (status.get("out-data"), status.get("err-data")) == (out, err)


async def test_a_script_without_an_interpreter_is_given_to_the_shell(verbs: Verbs, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1 $#"\n')
    script.chmod(0o755)
    status = await run(verbs, path=str(script), arg=["first", "second"], capture_output=True)
    assert status["out-data"] == b"first 2\n"


async def test_what_is_beyond_16_mib_is_read_and_dropped(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_process, "MAX_CAPTURED", 100_000)
    status = await run(verbs, **shell("head -c 5000000 /dev/zero; echo done >&2", capture_output=True))
    assert (len(status["out-data"]), status["out-truncated"]) == (100_000, True)
    assert (status["err-data"], status["err-truncated"], status["exitcode"]) == (b"done\n", False, 0)


async def test_input_of_any_size_arrives(verbs: Verbs) -> None:
    data = os.urandom(3_000_000)
    assert (await run(verbs, path="cat", input_data=b64(data), capture_output=True))["out-data"] == data


async def test_it_has_not_ended_before_its_pipes_are_closed(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    script = f"(read line < {tmp_path}/gate; echo $line) & exit 4"
    pid = (await verbs.get("guest-exec", **shell(script, capture_output=True)))["pid"]
    await gone(pid)
    assert await verbs.get("guest-exec-status", pid=pid) == {"exited": False}
    await anyio.to_thread.run_sync((tmp_path / "gate").write_text, "late\n")
    status = await ended(verbs, pid)
    assert (status["out-data"], status["exitcode"]) == (b"late\n", 4)


async def test_a_pid_is_forgotten_once_its_end_was_told(verbs: Verbs) -> None:
    pid = (await verbs.get("guest-exec", path="/bin/true"))["pid"]
    await ended(verbs, pid)
    assert await verbs.refused("guest-exec-status", pid=pid) == f"PID {pid} does not exist"


@pytest.mark.parametrize("pid", [0, -1, 1, NEVER, 2**63 - 1])
@pytest.mark.parametrize("name", ["status", "read", "close"])
async def test_an_unknown_pid_is_refused(verbs: Verbs, name: str, pid: int) -> None:
    assert await verbs.refused(f"guest-exec-{name}", pid=pid) == f"PID {pid} does not exist"


async def test_no_zombie_is_left_even_if_nobody_asks(verbs: Verbs) -> None:
    pid = (await verbs.get("guest-exec", path="/bin/true"))["pid"]
    await gone(pid)


@pytest.mark.parametrize("wanted", ["TERM", "SIGTERM", "term", 15])
async def test_a_signal_reaches_the_whole_group(verbs: Verbs, wanted: int | str) -> None:
    pid = (await verbs.get("guest-exec", **shell("sleep 1000 | cat", capture_output=True)))["pid"]
    await verbs.get("guest-exec-signal", pid=pid, signal=wanted)
    assert (await ended(verbs, pid))["signal"] == signal.SIGTERM


@pytest.mark.parametrize("wanted", ["NOPE", "", "SIG", 0, -9, 65, 2**40])
async def test_what_is_no_signal_is_refused(verbs: Verbs, wanted: int | str) -> None:
    pid = (await verbs.get("guest-exec", **shell("exec sleep 1000")))["pid"]
    assert "there is no signal" in await verbs.refused("guest-exec-signal", pid=pid, signal=wanted)
    await verbs.get("guest-exec-signal", pid=pid, signal="KILL")
    await gone(pid)
    assert await verbs.refused("guest-exec-signal", pid=pid, signal="KILL") == f"PID {pid} has ended"


async def test_a_closed_one_goes_on_unheard_and_is_reaped(verbs: Verbs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    script = f"read line < {tmp_path}/gate; head -c 1000000 /dev/zero; echo there > {tmp_path}/mark"
    pid = (await verbs.get("guest-exec", **shell(script, capture_output=True)))["pid"]
    await verbs.get("guest-exec-close", pid=pid)
    assert await verbs.refused("guest-exec-status", pid=pid) == f"PID {pid} does not exist"
    await anyio.to_thread.run_sync((tmp_path / "gate").write_text, "go\n")
    await gone(pid)
    assert (tmp_path / "mark").read_text() == "there\n"


async def test_an_ended_one_that_nobody_asks_about_makes_room_and_a_running_one_does_not(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "MAX_PROCESSES", 2)
    running = (await verbs.get("guest-exec", **shell("exec sleep 1000")))["pid"]
    over = (await verbs.get("guest-exec", path="/bin/true"))["pid"]
    await gone(over)
    second = (await verbs.get("guest-exec", **shell("exec sleep 1000")))["pid"]
    assert "does not exist" in await verbs.refused("guest-exec-status", pid=over)
    assert "2 processes are running" in await verbs.refused("guest-exec", path="/bin/true")
    for pid in (running, second):
        await verbs.get("guest-exec-signal", pid=pid, signal="KILL")


class Watched(SystemSurroundings):
    """Tells when a process was started."""

    def __init__(self) -> None:
        self.started = anyio.Event()
        self.pid = 0

    async def adopt(self, pid: int) -> None:
        self.pid = pid
        self.started.set()


async def test_one_that_is_cancelled_while_it_starts_is_forgotten_and_reaped() -> None:
    surroundings = Watched()
    part = Processes(surroundings)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Verbs(part).get("guest-exec", **shell("exec sleep 1000"))
    assert scope.cancelled_caught
    await surroundings.started.wait()
    while repr(part) != "<Processes 0 of 64>":
        await anyio.lowlevel.checkpoint()
    os.kill(surroundings.pid, signal.SIGKILL)
    await gone(surroundings.pid)


@pytest.mark.parametrize("asked", [{"path": "tr\0ue"}, {"path": "true", "arg": ["\0"]}, {"path": "\ud800"}])
async def test_what_no_program_can_be_told_is_refused(verbs: Verbs, asked: dict[str, Any]) -> None:
    assert "Failed to execute child process" in await verbs.refused("guest-exec", **asked)


async def test_nothing_is_left_open_by_those_that_ended_or_never_started(verbs: Verbs) -> None:
    await run(verbs, path="/bin/true")
    before = descriptors()
    for _ in range(5):
        await run(verbs, path="cat", input_data=b64(b"x"), capture_output=True)
        await verbs.refused("guest-exec", path="/nowhere", capture_output=True, input_data=b64(b"x"))
    assert descriptors() == before


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("guest-exec", {"input_data": b64(b"x"), "capture_output": True}),
        ("guest-exec-live", {}),
        ("guest-exec-live", {"terminal": {"rows": 24, "columns": 80}}),
    ],
)
async def test_without_descriptors_nothing_is_started_and_none_is_lost(
    verbs: Verbs, name: str, more: dict[str, Any]
) -> None:
    await run(verbs, path="/bin/true")
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = lowest_free()
    said = set()
    try:
        for free in range(20):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
            answer = await verbs.call(name, path="/bin/sleep", arg=["1000"], **more)
            if "return" in answer:
                break
            said.add(answer["error"]["desc"].rpartition("Too many open files")[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "return" in answer
    assert said == {"Too many open files"}
    pid = answer["return"]["pid"]
    await verbs.get("guest-exec-signal", pid=pid, signal="KILL")
    await gone(pid)
    await verbs.get("guest-exec-close", pid=pid)
    assert descriptors() == before


def lowest_free() -> int:
    """The number that the next descriptor gets."""
    number = os.dup(0)
    os.close(number)
    return number


async def test_an_agent_that_stops_leaves_its_processes_running() -> None:
    part = Processes(SystemSurroundings())
    pid = (await Verbs(part).get("guest-exec", **shell("exec sleep 1000")))["pid"]
    part.close_all()
    assert Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    os.kill(pid, signal.SIGKILL)
    await anyio.to_thread.run_sync(os.waitpid, pid, 0)


def descriptors() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(f"{link.name} {link.readlink()}")
    return found


async def gone(pid: int) -> None:
    """Wait until a process was reaped."""
    while Path(f"/proc/{pid}").exists():
        await anyio.lowlevel.checkpoint()
