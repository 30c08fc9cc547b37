"""A mux connection over a character device: a page at a time, writes gathered."""

from __future__ import annotations

import asyncio
import os

import anyio
import pytest

from guestmux_protocol.addresses import Device
from guestmux_transport.mux_connection import MuxConnection
from guestmux_transport.mux_stream import MuxStream
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.port import open_port
from tests.support.mux_ends import EchoServer
from tests.support.pipes import hosts_of, pty_pair

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 1200


async def echo(stream: MuxStream) -> None:
    async for data in stream:
        await stream.send(data)
    stream.close(b'"done"')


async def test_streams_and_calls_pass_a_device_both_ways() -> None:
    with pty_pair() as (master, path):
        async with hosts_of(open_port(Device(path))) as hosts:
            guest = await anext(hosts)
            host = owned_pipe("host", os.dup(master), half_close=False)
            server = EchoServer(echo)
            server.connection = MuxConnection(guest, "server", party="agent", serve=server)
            asker = MuxConnection(host, "asker", party="host")
            running = [asyncio.ensure_future(end.run()) for end in (server.connection, asker)]
            stream = await asker.open("echo", b"{}")
            received = bytearray()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_all, stream)
                async for data in stream:
                    received += data
                    assert await asker.call("echo", b"{}") == b"{}{}"
            assert received == CONTENT
            assert await stream.result() == b'"done"'
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            host.close()


async def send_all(stream: MuxStream) -> None:
    await stream.send(CONTENT)
    await stream.send_eof()
