import asyncio
import errno
import os
import socket

import pytest

from guestmux_transport.edge import edge_poller
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import FLUSH_BYTES_PER_TURN, LOW_WATER, READ_BYTES, STEPS_PER_TURN
from guestmux_transport.pipe_errors import OpenError, PipeClosed
from tests.support.pipes import fill, pipe_and_peer, receive_all, receive_exactly, turns

pytestmark = pytest.mark.anyio


async def test_bytes_pass_both_ways() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.send(b"ping")
        assert await pipe.receive() == b"ping"
        pipe.write(b"pong")
        assert peer.recv(99) == b"pong"


async def test_write_reaches_the_kernel_without_a_turn_of_the_loop() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write(b"now")
        assert peer.recv(99) == b"now"
        assert pipe.pending == 0


async def test_receive_wakes_for_bytes_that_come_later() -> None:
    with pipe_and_peer() as (pipe, peer):
        waiting = asyncio.ensure_future(pipe.receive())
        await turns()
        peer.send(b"late")
        assert await waiting == b"late"


async def test_receive_gives_a_bounded_piece_and_counts() -> None:
    with pipe_and_peer() as (pipe, peer):
        sent = fill(peer)
        assert sent > READ_BYTES
        assert len(await pipe.receive()) <= READ_BYTES
        await receive_exactly(pipe, sent - pipe.received)
        assert pipe.received == sent


async def test_nothing_is_read_before_somebody_receives() -> None:
    with pipe_and_peer() as (_, peer):
        fill(peer)
        await turns()
        with pytest.raises(BlockingIOError):
            peer.send(b"x")


async def test_a_peer_that_shut_its_sending_side_still_gets_replies() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.send(b"question")
        peer.shutdown(socket.SHUT_WR)
        assert await receive_all(pipe) == b"question"
        assert await pipe.receive() == b""
        await turns()
        assert not pipe.gone
        pipe.write(b"answer")
        assert peer.recv(99) == b"answer"
        peer.close()
        await pipe.wait_closed()


async def test_wait_closed_sees_a_peer_leave_though_its_bytes_are_unread() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.send(b"last words")
        peer.close()
        await pipe.wait_closed()
        assert pipe.state == "GONE"
        assert await pipe.receive() == b"last words"
        assert await pipe.receive() == b""


async def test_a_peer_that_leaves_with_our_bytes_unread_ends_the_pipe() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write(b"unread")
        peer.close()  # the kernel tells us by ECONNRESET
        assert await pipe.receive() == b""
        await pipe.wait_closed()


async def test_a_slow_reader_gets_every_byte_in_order() -> None:
    content = os.urandom(3 * FLUSH_BYTES_PER_TURN)
    with pipe_and_peer() as (pipe, peer):
        for start in range(0, len(content), 100_000):
            pipe.write(content[start : start + 100_000])
        assert pipe.pending > LOW_WATER
        received = bytearray()
        while len(received) < len(content):
            await turns(1)
            try:
                received += peer.recv(50_000)
            except BlockingIOError:
                continue
        assert bytes(received) == content
        assert pipe.pending == 0


async def test_drain_waits_for_the_reader() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write(b"x" * 2 * FLUSH_BYTES_PER_TURN)
        draining = asyncio.ensure_future(pipe.drain())
        await turns()
        assert not draining.done()
        while not draining.done():
            peer.recv(READ_BYTES)
            await turns(2)
        assert pipe.pending <= LOW_WATER


async def test_one_write_of_a_fast_reader_does_not_hold_the_loop() -> None:
    with pipe_and_peer() as (pipe, peer):
        taken: list[int] = []

        def write_and_swallow(fd: int, data: memoryview) -> int:
            taken.append(len(data))
            return len(data)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", write_and_swallow)
            pipe.write(b"x" * 3 * FLUSH_BYTES_PER_TURN)
            assert sum(taken) == FLUSH_BYTES_PER_TURN
            await turns(1)
            assert sum(taken) == 2 * FLUSH_BYTES_PER_TURN
            await pipe.flush()
        assert sum(taken) == 3 * FLUSH_BYTES_PER_TURN
        assert peer.fileno() >= 0


async def test_a_flooding_peer_leaves_turns_to_others() -> None:
    with pipe_and_peer() as (pipe, peer):
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        for _ in range(10 * STEPS_PER_TURN):
            peer.send(b"x")
            await pipe.receive()
        assert others >= 9
        before = others
        for _ in range(10 * STEPS_PER_TURN):
            pipe.write(b"x")
            await pipe.drain()
            peer.recv(1)
        task.cancel()
        assert others - before >= 9


async def test_drain_fails_and_write_is_dropped_once_the_peer_left() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write(b"x" * 2 * FLUSH_BYTES_PER_TURN)
        draining = asyncio.ensure_future(pipe.drain())
        await turns()
        peer.close()
        with pytest.raises(PipeClosed):
            await draining
        assert pipe.pending == 0
        pipe.write(b"dropped")
        assert pipe.pending == 0
        with pytest.raises(PipeClosed):
            await pipe.flush()


async def test_a_peer_that_shut_its_receiving_side_is_gone_at_the_next_write() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.shutdown(socket.SHUT_RD)
        await turns()
        assert not pipe.gone
        pipe.write(b"x")
        assert pipe.gone


async def test_a_flush_that_meets_a_gone_peer_ends_the_pipe() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write(b"x" * 2 * FLUSH_BYTES_PER_TURN)
        peer.shutdown(socket.SHUT_RD)
        while peer.recv(READ_BYTES):  # makes room, so that the kernel asks for more
            pass
        await pipe.wait_closed()
        assert pipe.pending == 0


async def test_close_wakes_whoever_waits_and_lets_go_of_everything() -> None:
    with pipe_and_peer() as (pipe, peer):
        receiving = asyncio.ensure_future(pipe.receive())
        waiting = asyncio.ensure_future(pipe.wait_closed())
        await turns()
        pipe.close()
        pipe.close()
        assert await receiving == b""
        await waiting
        assert pipe.state == "CLOSED"
        assert peer.recv(1) == b""
        assert not edge_poller().watched


async def test_close_drops_what_was_not_received() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.send(b"unread")
        await turns()
        pipe.close()
        assert await pipe.receive() == b""


async def test_a_cancelled_receive_loses_nothing() -> None:
    with pipe_and_peer() as (pipe, peer):
        for number in range(3 * STEPS_PER_TURN):  # at every place of its turn
            receiving = asyncio.ensure_future(pipe.receive())
            await turns(number % 3)
            receiving.cancel()
            await turns()
            peer.send(b"%d" % number)
            assert await pipe.receive() == b"%d" % number


async def test_finish_sends_everything_first() -> None:
    with pipe_and_peer() as (pipe, peer):
        size = 2 * FLUSH_BYTES_PER_TURN
        pipe.write(b"x" * size)
        finishing = asyncio.ensure_future(pipe.finish(60))
        received = 0
        while not finishing.done():
            await turns(2)
            received += len(peer.recv(READ_BYTES))
        while data := peer.recv(READ_BYTES):
            received += len(data)
        assert received == size
        assert pipe.state == "CLOSED"


async def test_finish_gives_up_on_a_peer_that_does_not_read() -> None:
    with pipe_and_peer() as (pipe, _):
        pipe.write(b"x" * 2 * FLUSH_BYTES_PER_TURN)
        await pipe.finish(0)
        assert pipe.state == "CLOSED"


async def test_finish_with_a_peer_that_left_closes() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.close()
        await pipe.finish(60)
        assert pipe.state == "CLOSED"


async def test_repr_names_the_address_and_state() -> None:
    with pipe_and_peer() as (pipe, peer):
        assert repr(pipe) == "<Pipe test OPEN>"
        peer.close()
        await pipe.wait_closed()
        assert repr(pipe) == "<Pipe test GONE>"


async def test_a_descriptor_that_cannot_be_watched_is_closed(tmp_path: os.PathLike[str]) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OpenError):
        owned_pipe("test", fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(fd)


async def test_pieces_are_sent_together_and_in_order() -> None:
    with pipe_and_peer() as (pipe, peer):
        pipe.write_pieces([b"head", memoryview(b"content"), bytearray(b"tail")])
        assert peer.recv(99) == b"headcontenttail"
        pipe.write_pieces([b"one"])
        assert peer.recv(99) == b"one"


async def test_pieces_that_the_kernel_took_in_part_follow() -> None:
    with pipe_and_peer() as (pipe, peer):
        sent = bytearray()
        while pipe.pending < 300_000:
            pieces = [b"head%04d" % len(sent), bytes([len(sent) % 251]) * 70_000]
            pipe.write_pieces(pieces)
            sent += b"".join(pieces)
        received = bytearray()
        while len(received) < len(sent):
            try:
                received += peer.recv(1 << 20)
            except BlockingIOError:
                await turns(2)
        assert received == sent


async def test_pieces_for_a_peer_that_left_are_dropped() -> None:
    with pipe_and_peer() as (pipe, peer):
        peer.close()
        pipe.write_pieces([b"a", b"b"])
        assert pipe.gone
        pipe.write_pieces([b"a", b"b"])
        assert pipe.pending == 0
