"""Devices: short writes of one turn go out together, in pieces that a port takes whole.

The peer is a socket that keeps writes apart, as a port's ring does.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guestmux_transport.char_device import DEVICE_WRITE_BYTES
from guestmux_transport.edge import edge_poller
from guestmux_transport.host_mark import HostMark
from guestmux_transport.pipe import Pipe
from tests.support.pipes import turns

pytestmark = pytest.mark.anyio


@contextmanager
def gathering_pipe(mark: HostMark | None = None) -> Iterator[tuple[Pipe, socket.socket]]:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    peer.setblocking(False)
    with ours, peer:
        pipe = Pipe(
            "device",
            ours.fileno(),
            lambda _: watch.stop(),
            write_bytes=DEVICE_WRITE_BYTES,
            gather=True,
            mark=mark,
        )
        watch = edge_poller().watch(ours.fileno(), pipe.edge)
        yield pipe, peer
        pipe.close()


def writes(peer: socket.socket) -> list[bytes]:
    """What the peer can read now, write by write."""
    found = []
    try:
        while data := peer.recv(1 << 20):
            found.append(data)
    except BlockingIOError:
        pass
    return found


async def test_a_thousand_events_take_as_many_writes_as_their_bytes_need() -> None:
    with gathering_pipe() as (pipe, peer):
        events = [b'{"event": "__org.example_TICKED", "data": {"n": %04d}}\n' % n for n in range(1000)]
        for event in events:
            pipe.write(event)
        assert writes(peer) == []
        await turns()
        got = writes(peer)
        assert b"".join(got) == b"".join(events)
        assert [len(data) for data in got[:-1]] == [DEVICE_WRITE_BYTES]


async def test_a_single_reply_waits_for_one_turn_only() -> None:
    with gathering_pipe() as (pipe, peer):
        pipe.write(b"reply")
        await turns(1)
        assert writes(peer) == [b"reply"]
        await pipe.flush()


async def test_what_fills_a_write_goes_out_at_once_and_in_order() -> None:
    with gathering_pipe() as (pipe, peer):
        large = bytes(DEVICE_WRITE_BYTES)
        pipe.write(large)
        assert writes(peer) == [large]
        pipe.write(b"short")
        pipe.write(large)
        await turns()
        assert b"".join(writes(peer)) == b"short" + large


async def test_what_was_gathered_is_sent_before_the_pipe_closes() -> None:
    with gathering_pipe() as (pipe, peer):
        pipe.write(b"last words")
        pipe.close()
        assert writes(peer) == [b"last words"]
        await turns()


async def test_what_a_full_ring_did_not_take_follows_in_whole_writes() -> None:
    with gathering_pipe() as (pipe, peer):
        sent = bytearray()
        while pipe.pending < 4 * DEVICE_WRITE_BYTES:
            pipe.write(b"event\n")
            sent += b"event\n"
            if len(sent) % 6000 == 0:
                await turns(2)
        got: list[bytes] = []
        while len(b"".join(got)) < len(sent):
            got += writes(peer)
            await turns(3)
        assert b"".join(got) == sent
        assert DEVICE_WRITE_BYTES in [len(data) for data in got]


async def test_a_gathered_reply_counts_as_written_when_it_is() -> None:
    mark = HostMark()
    with gathering_pipe(mark) as (pipe, peer):
        peer.send(b"\xffguest-sync")
        assert await pipe.receive() == b"\xffguest-sync"
        pipe.write(b"answer")
        assert mark.unanswered == b"\xffguest-sync"
        await turns()
        assert mark.unanswered == b""


async def test_nothing_is_gathered_while_the_end_of_the_host_before_may_come() -> None:
    now = 5.0
    with gathering_pipe(HostMark(lambda: now)) as (pipe, peer):
        peer.send(b"first\xffsecond")
        await pipe.receive()
        pipe.write(b"answer")
        assert writes(peer) == [b"answer"]
        now += 1.1
        pipe.write(b"answer")
        assert writes(peer) == []
