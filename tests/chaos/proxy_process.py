"""`python -m tests.chaos.proxy_process LISTEN CONNECT`: a port's wire, with much in flight; kill it to cut the wire."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

IN_FLIGHT = 1 << 20
"""Bytes that it holds each way: what is lost when it is killed."""


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends."""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def join(path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect a host to the guest; hang up where there is none."""
    try:
        guest, to_guest = await asyncio.open_unix_connection(path, limit=IN_FLIGHT)
    except OSError:
        writer.close()
        return
    writer.transport.set_write_buffer_limits(IN_FLIGHT)
    await asyncio.gather(pump(reader, to_guest), pump(guest, writer))


async def main(listen: str, connect: str) -> None:
    """Serve until killed."""
    Path(listen).unlink(missing_ok=True)
    server = await asyncio.start_unix_server(lambda *ends: join(connect, *ends), listen, limit=IN_FLIGHT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
