"""A new VM generation begins a new run, and hosts are told."""

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd.event_log import Entry, EventLog
from guestmux_eventd.event_terms import Terms
from guestmux_eventd.generation_source import GenerationSource, open_uevents
from guestmux_eventd.position import Since
from guestmux_eventd.subscription import Subscription
from guestmux_protocol.patterns import EventFilter
from tests.support.feeds import Feeds

pytestmark = pytest.mark.anyio

NEW_GENERATION = (
    b"change@/devices/LNXSYSTM:00/LNXSYBUS:00/PNP0A03:00/QEMUVGID:00\0ACTION=change\0NEW_VMGENID=1\0"
)
OTHER = b"add@/devices/virtual/block/loop0\0ACTION=add\0NOT_NEW_VMGENID=1\0"

KERNEL, SOMEBODY = 0, 4711


class Uevents(socket.socket):
    """Stands in for the kernel's socket: who sent a datagram is not to be had from a pair of unix sockets."""

    sender = KERNEL

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:  # type: ignore[override]
        return self.recv(size), (self.sender, 1)


class Generations:
    def __init__(self) -> None:
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.uevents = Uevents(fileno=ours.detach())
        self.changes = 0
        self.changed = anyio.Event()

    def change(self) -> None:
        self.changes += 1
        self.changed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(GenerationSource(self.uevents, self.change).run)
            yield
            tasks.cancel_scope.cancel()
        self.kernel.close()


async def test_a_new_generation_is_told_once_whatever_else_the_kernel_says() -> None:
    generations = Generations()
    async with generations.running():
        generations.kernel.send(OTHER)
        generations.kernel.send(NEW_GENERATION)
        await generations.changed.wait()
        assert generations.changes == 1
    assert generations.uevents.fileno() == -1


async def test_only_the_kernel_is_believed() -> None:
    generations = Generations()
    generations.uevents.sender = SOMEBODY
    async with generations.running():
        generations.kernel.send(NEW_GENERATION)
        generations.kernel.send(OTHER)
        await anyio.wait_all_tasks_blocked()
        assert not generations.changes


def test_the_socket_is_one_that_systemd_passed() -> None:
    assert open_uevents({}) is None
    passed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "guestmux-netlink"}
    assert open_uevents(passed) is None


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
