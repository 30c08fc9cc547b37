"""From the host's command line to a process and a file: a real eventd, a system agent and a session's agent."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest

import guestmux
from guestmux.cli import exits
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.eventd import Eventd, running_eventd
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="the system agent needs root"),
]

SCRIPT = "cat; echo err >&2; exit 7"

MUCH = 100_000_000
"""Bytes: many windows of a stream."""

BIG = 6_000_000
"""Bytes: several memory files on D-Bus."""


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        yield logind


@pytest.fixture
async def session(logind: StandinLogind) -> str:
    return await logind.control.login("alice", os.getuid())


@pytest.fixture
def eventd(bus: PrivateBus, logind: StandinLogind, session: str) -> Iterator[Eventd]:
    with running_eventd(bus.address) as eventd:
        yield eventd


@asynccontextmanager
async def agent(
    bus: PrivateBus, guest: guestmux.Guest, *options: str, **variables: str
) -> AsyncIterator[None]:
    """Run one of the stock agents, from when it serves streams on."""
    environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nosuch", **variables}
    command = [sys.executable, "-m", "guestmux_session", "--bus", bus.address, *options]
    async with (
        guest.events("AGENT_REGISTERED") as stream,
        await anyio.open_process(command, env=environment, stdout=DEVNULL, stderr=DEVNULL) as process,
    ):
        async for item in stream:
            # It registers with what D-Bus carries, and is told of anew when it has a channel.
            if isinstance(item, guestmux.Event) and "guest-exec-attach" in item.data["commands"]:
                break
        yield
        process.terminate()
        await process.wait()


@pytest.fixture
async def guest(bus: PrivateBus, eventd: Eventd, session: str, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a guest with both agents. Another port than the tests' watches for them."""
    async with (
        guestmux.connect(f"unix:{eventd.qga}") as watcher,
        agent(bus, watcher, "--system", "--config", os.devnull, RUNTIME_DIRECTORY=str(tmp_path)),
        agent(bus, watcher, "--session", session, WHO="alice"),
    ):
        yield f"unix:{eventd.qmp}"


@pytest.fixture
async def in_order(bus: PrivateBus, eventd: Eventd, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a `qga` port, with a system agent behind it."""
    async with (
        guestmux.connect(f"unix:{eventd.qmp}") as watcher,
        agent(bus, watcher, "--system", "--config", os.devnull, RUNTIME_DIRECTORY=str(tmp_path)),
    ):
        yield f"unix:{eventd.qga}"


async def run(address: str, *arguments: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    done = await anyio.run_process(
        [sys.executable, "-m", "guestmux", *arguments],
        input=given,
        env={**os.environ, ADDRESS_VARIABLE: address},
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


async def test_exec(guest: str, session: str) -> None:
    assert await run(guest, "exec", "sh", "-c", SCRIPT, given=b"in") == (7, b"in", b"err\n")
    everywhere = ("-s", session), ("-s", "user:alice")
    for where in everywhere:
        assert (await run(guest, "exec", *where, "sh", "-c", "echo $WHO"))[1] == b"alice\n"
    assert (await run(guest, "exec", "-n", "/nosuch"))[0] == exits.NOT_FOUND
    assert (await run(guest, "exec", "-s", "c99", "true"))[0] == exits.REFUSED
    content = os.urandom(2_000_000)
    assert await run(guest, "exec", "cat", given=content) == (0, content, b"")
    status, out, _ = await run(guest, "exec", "-t", "-n", "-s", "user:alice", "--", "stty", "size")
    assert (status, out) == (0, b"24 80\r\n")


async def test_processes_by_streams(guest: str, session: str) -> None:
    async with guestmux.connect(guest) as connected:
        assert connected.dialect == "mux"
        for where in (None, session):
            async with await connected.exec(["sh", "-c", SCRIPT], session=where) as process:
                assert "AttachedProcess" in repr(process)
                await process.stdin.send(b"in\n")
                assert await process.stdout.receive() == b"in\n"
                await process.stdin.aclose()
                done = await process.communicate()
            assert (done.stdout, done.stderr, done.exit.code) == (b"", b"err\n", 7)
        content = os.urandom(BIG)
        assert (await connected.run(["cat"], stdin=content)).stdout == content
        assert (await connected.run(["true"], stdin=content)).exit.code == 0


async def test_a_process_waits_for_who_takes_its_output(guest: str) -> None:
    """Nobody takes what `yes` writes, so it stops, and others have the connection for themselves."""
    async with (
        guestmux.connect(guest) as connected,
        await connected.exec(["yes"]) as process,
    ):
        done = await connected.run(["head", "-c", str(MUCH), "/dev/zero"])
        assert len(done.stdout) == MUCH
        await process.kill()
        assert len(await process.stdout.read()) < MUCH / 10
        assert (await process.wait()).signal == signal.SIGKILL


async def test_a_terminal_by_streams(guest: str) -> None:
    size = guestmux.TerminalSize(rows=11, columns=22, type="vt100")
    script = "trap 'stty size; exit 4' WINCH; stty size; while :; do sleep 0.02; done"
    async with (
        guestmux.connect(guest) as connected,
        await connected.exec(["sh", "-c", script], terminal=size) as process,
    ):
        shown = b""
        while b"11 22" not in shown:
            shown += await process.stdout.receive()
        await process.resize(33, 44)
        assert b"33 44" in await process.stdout.read()
        assert await process.stderr.read() == b""
        assert (await process.wait()).code == 4


async def test_exec_is_interrupted(guest: str) -> None:
    script = "trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.02; done"
    command = [sys.executable, "-m", "guestmux", "-c", guest, "exec", "-n", "sh", "-c", script]
    async with await anyio.open_process(command) as process:
        assert process.stdout
        assert await process.stdout.receive() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert await process.stdout.receive() == b"got it\n"
        assert await process.wait() == 9


async def test_what_a_host_leaves_behind_is_ended(guest: str, tmp_path: Path) -> None:
    """A process of a `qmp` port ends with the host's connection."""
    script = f"trap 'echo x > {tmp_path}/said; exit' HUP PIPE; echo ready; while :; do echo; sleep 0.02; done"
    async with guestmux.connect(guest) as connected:
        process = await connected.exec(["sh", "-c", script])
        assert (await process.stdout.receive()).startswith(b"ready\n")
    while not (tmp_path / "said").exists():
        await anyio.lowlevel.checkpoint()


async def test_files(guest: str, tmp_path: Path) -> None:
    content = os.urandom(BIG)
    (tmp_path / "big").write_bytes(content)
    for where in (), ("-s", "user:alice"):
        await copy_both_ways(guest, tmp_path, content, where)
    async with guestmux.connect(guest) as connected:
        assert await connected.read_file(str(tmp_path / "big")) == content
        assert await connected.read_file("/proc/version") == Path("/proc/version").read_bytes()
        assert await connected.read_file("/dev/null") == b""
        with pytest.raises(guestmux.CommandFailed, match="No such file"):
            await connected.read_file("/nosuch")


async def copy_both_ways(guest: str, tmp_path: Path, content: bytes, where: tuple[str, ...]) -> None:
    assert (await run(guest, "cp", *where, str(tmp_path / "big"), f":{tmp_path}/copy"))[:2] == (0, b"")
    assert (tmp_path / "copy").read_bytes() == content
    status, out, _ = await run(guest, "cat", *where, f"{tmp_path}/copy")
    assert status == exits.OK
    assert hashlib.sha256(out).digest() == hashlib.sha256(content).digest()
    assert (await run(guest, "cat", *where, "/nosuch"))[0] == exits.FAILED


async def test_where_calls_wait_for_each_other(in_order: str, tmp_path: Path) -> None:
    assert await run(in_order, "exec", "sh", "-c", "cat; exit 7", given=b"in") == (7, b"in", b"")
    content = os.urandom(BIG)
    (tmp_path / "big").write_bytes(content)
    assert (await run(in_order, "cp", f":{tmp_path}/big", f"{tmp_path}/copy"))[:2] == (0, b"")
    assert (tmp_path / "copy").read_bytes() == content


async def test_the_agent_goes_in_the_middle(
    bus: PrivateBus, eventd: Eventd, session: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    async with guestmux.connect(f"unix:{eventd.qmp}") as guest:
        async with agent(bus, guest, "--session", session):
            file = await guest.open_file(str(tmp_path / "file"), session=session)
            process = await guest.exec(["sleep", "1000"], session=session)
            assert await file.read() == b"content"
        with pytest.raises(guestmux.RemoteError):
            await process.wait()
        with pytest.raises(guestmux.RemoteError):
            await file.seek(0)
        await process.aclose()


async def test_facts(guest: str) -> None:
    for command in ("os", "net", "users", "fs list", "fs status"):
        status, out, _ = await run(guest, *command.split())
        assert status == exits.OK
        assert out
