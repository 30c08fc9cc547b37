"""A new VM generation begins a new run, and hosts are told."""

import errno
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd import generation_source
from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.generation_source import GenerationSource, open_kernel_log
from guestmux_eventd.position import Since
from guestmux_eventd.subscription import Subscription
from guestmux_protocol.patterns import EventFilter
from tests.support.feeds import Feeds

pytestmark = pytest.mark.anyio

TEXT = b"random: crng reseeded due to virtual machine fork\n"

# As /dev/kmsg has them: priority and facility, number, microseconds, flags.
NEW_GENERATION = b"5,1071,71172427,-;" + TEXT
OTHER = b"6,1070,69000000,-;random: crng init done\n SUBSYSTEM=random\n"
FROM_A_PROGRAM = b"13,1072,71172428,-;" + TEXT
QUOTED = b"6,1073,71172429,-;program: " + TEXT
BROKEN = b"random: no head"


class KernelLog:
    """A socket of which each read gives one record, as of /dev/kmsg."""

    def __init__(self) -> None:
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        self.fd = ours.detach()
        self.changes = 0
        self.changed = anyio.Event()

    def change(self) -> None:
        self.changes += 1
        self.changed.set()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(GenerationSource(self.fd, self.change).run)
            yield
            tasks.cancel_scope.cancel()
        self.kernel.close()


async def test_a_new_generation_is_told_once_whatever_else_the_kernel_says() -> None:
    log = KernelLog()
    async with log.followed():
        log.kernel.send(OTHER)
        log.kernel.send(NEW_GENERATION)
        await log.changed.wait()
        assert log.changes == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(log.fd)


@pytest.mark.parametrize("record", [OTHER, FROM_A_PROGRAM, QUOTED, BROKEN])
async def test_nobody_else_is_believed(record: bytes) -> None:
    log = KernelLog()
    async with log.followed():
        log.kernel.send(record)
        await anyio.wait_all_tasks_blocked()
        assert not log.changes


async def test_a_record_that_was_overwritten_may_have_been_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = KernelLog()
    read = os.read
    faults = [BrokenPipeError(errno.EPIPE, "overwritten")]

    def read_or_fail(fd: int, size: int) -> bytes:
        if fd == log.fd and faults:
            raise faults.pop()
        return read(fd, size)

    monkeypatch.setattr(os, "read", read_or_fail)
    async with log.followed():
        log.kernel.send(OTHER)
        await log.changed.wait()
        assert log.changes == 1


def test_the_log_is_one_that_systemd_passed() -> None:
    assert open_kernel_log({}) is None
    passed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "guestmux-netlink"}
    assert open_kernel_log(passed) is None


def test_what_was_logged_before_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kmsg").write_bytes(NEW_GENERATION)
    with (tmp_path / "kmsg").open("rb") as file:
        monkeypatch.setattr(
            generation_source, "passed_fds", lambda _environment: [("guestmux-kernel-log", file.fileno())]
        )
        assert open_kernel_log({}) == file.fileno()
        assert os.read(file.fileno(), 1) == b""


def message(entry: Entry) -> Any:
    return json.loads(entry.line())


def test_hosts_are_told_that_their_numbers_may_be_others_and_go_on_in_a_new_run() -> None:
    log = EventLog("before", lambda: 0.0)
    feeds = Feeds(log)
    live = Subscription(feeds.history, feeds.state, Terms(EventFilter(["*"])), None, lambda: 0.0)
    log.append("A", {}, "verified")
    assert [message(entry)["data"]["seq"] for entry in live.take()] == [1]
    feeds.history.renew()
    log.append("A", {}, "verified")
    lost, event = map(message, live.take())
    assert (lost["data"]["from"], lost["data"]["to"], lost["data"]["reason"]) == (0, 1, "rolled-back")
    assert lost["data"]["epoch"] == event["data"]["epoch"] == log.epoch != "before"
    assert event["data"]["seq"] == 2
    # Another host, which heard five events of what the machine was set back from.
    came_back = Subscription(
        feeds.history, feeds.state, Terms(EventFilter(["*"])), Since("before", 5), lambda: 0.0
    )
    lost, event = map(message, came_back.take())
    assert (lost["data"]["to"], lost["data"]["reason"], event["data"]["seq"]) == (1, "rolled-back", 2)
