"""An idle pipe costs no CPU in whatever state it idles: counted in wake-ups of the loop, not in seconds."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from guestmux_protocol.addresses import InheritedFd, UnixListen
from guestmux_transport.edge import GONE, EdgePoller, edge_poller
from guestmux_transport.pipe import HIGH_WATER
from guestmux_transport.port import open_port
from tests.support.pipes import (
    assert_idle,
    fill,
    host_at,
    hosts_of,
    open_descriptors,
    pipe_and_peer,
    pty_pair,
    turns,
)

pytestmark = pytest.mark.anyio


async def test_the_measure_itself_sees_a_level_triggered_loop_spin() -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        asyncio.get_running_loop().add_reader(ours, lambda: None)
        peer.close()
        with pytest.raises(AssertionError):
            await assert_idle()
        asyncio.get_running_loop().remove_reader(ours)


async def test_idle_with_a_quiet_peer_that_is_waited_for() -> None:
    with pipe_and_peer() as (pipe, _):
        receiving = asyncio.ensure_future(pipe.receive())
        await assert_idle()
        receiving.cancel()


async def test_idle_with_unread_input() -> None:
    with pipe_and_peer() as (_, peer):
        fill(peer)
        await assert_idle()


async def test_idle_with_a_peer_that_does_not_read() -> None:
    with pipe_and_peer() as (pipe, _):
        pipe.write(b"x" * HIGH_WATER)
        await assert_idle()
        assert pipe.pending


async def test_nobody_is_woken_by_a_peer_that_reads() -> None:
    with pipe_and_peer() as (pipe, peer):
        await turns()
        wakeups = edge_poller().wakeups
        for _ in range(3):
            pipe.write(b"x")
            assert peer.recv(1) == b"x"
            await turns()
        assert edge_poller().wakeups == wakeups


async def test_a_peer_that_reads_again_is_sent_the_rest_each_time() -> None:
    with pipe_and_peer() as (pipe, peer):
        for _ in range(2):
            pipe.write(b"x" * HIGH_WATER)
            assert pipe.pending
            received = 0
            while received < HIGH_WATER:
                received += len(peer.recv(HIGH_WATER))
                await turns()
            assert not pipe.pending
            await assert_idle()


async def test_idle_with_a_half_closed_peer() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.shutdown(socket.SHUT_WR)
        assert await pipe.receive() == b""
        await assert_idle()


async def test_idle_with_a_peer_that_left_with_bytes_unread_on_both_sides() -> None:
    with pipe_and_peer() as (pipe, peer):
        fill(peer)
        pipe.write(b"x" * HIGH_WATER)
        peer.close()
        await pipe.wait_closed()
        await assert_idle()


async def test_a_listening_port_idles_without_a_host_with_one_and_with_others_waiting(tmp_path: Path) -> None:
    async with hosts_of(open_port(UnixListen(str(tmp_path / "port")))) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await assert_idle()
        with host_at(tmp_path / "port"):
            await coming
            await assert_idle()
            with host_at(tmp_path / "port") as waiting:
                waiting.send(b"not yet served")
                await assert_idle()
        await assert_idle()


async def test_a_device_idles_in_every_phase() -> None:
    with pty_pair() as (master, slave_path):
        async with hosts_of(open_port(InheritedFd(os.dup(master)))) as hosts:
            await assert_idle()
            coming = asyncio.ensure_future(anext(hosts))
            await assert_idle()  # HUP for ever: the phase in which a level-triggered loop spins
            host = os.open(slave_path, os.O_RDWR | os.O_NOCTTY)
            os.write(host, b"x")
            pipe = await coming
            assert await pipe.receive() == b"x"
            await assert_idle()
            os.write(host, b"unread")
            pipe.write(b"y" * HIGH_WATER)
            await assert_idle()
            os.close(host)
            await pipe.wait_closed()
            await assert_idle()
            coming = asyncio.ensure_future(anext(hosts))
            await assert_idle()
            coming.cancel()


async def test_a_stopped_watch_gets_no_edge_that_was_fetched_already() -> None:
    poller = edge_poller()
    (a, a_peer), (b, b_peer) = socket.socketpair(), socket.socketpair()
    called: list[str] = []
    with a, a_peer, b, b_peer:

        def on_edge(name: str) -> None:
            called.append(name)
            for watch in watches:
                watch.stop()

        watches = [
            poller.watch(a.fileno(), lambda _: on_edge("a")),
            poller.watch(b.fileno(), lambda _: on_edge("b")),
        ]
        await turns()
        assert len(called) == 1
        assert not poller.watched


async def test_a_poller_without_watches_holds_no_descriptor(tmp_path: Path) -> None:
    poller = edge_poller()
    assert edge_poller() is poller
    before = open_descriptors()
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(PermissionError):
        poller.watch(fd, lambda _: None)
    os.close(fd)
    ours, peer = socket.socketpair()
    with ours, peer:
        watch = poller.watch(ours.fileno(), lambda _: None)
        watch.stop()
        watch.stop()
    await turns()
    assert open_descriptors() == before


async def test_a_leaving_peer_is_one_wakeup() -> None:
    ours, peer = socket.socketpair()
    poller = EdgePoller(asyncio.get_running_loop())
    events: list[int] = []
    with ours:
        watch = poller.watch(ours.fileno(), events.append)
        await turns()
        before = poller.wakeups
        peer.close()
        await turns()
        assert poller.wakeups == before + 1
        assert events[-1] & GONE
        watch.stop()
