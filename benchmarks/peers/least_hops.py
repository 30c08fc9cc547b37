"""Two hops on asyncio that pass calls on as eventd and an agent do, and do nothing else: the least that this takes.

JSON lines from the host, frames to the agent, there a task for the method, and the same way back. No policy, schema,
deadline, cancellation, bound or record; a call at a time, and each in one piece.

`python -m benchmarks.peers.least_hops PATH` is the agent: it gives the text of each call back.
`python -m benchmarks.peers.least_hops PATH TARGET` is what is between: calls at PATH go to TARGET.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import Protocol, Transport
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.peers.processes import environment, python, running
from benchmarks.peers.raw_client import connect

REQUEST, REPLY = 1, 2

_pack, _unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
_write, _read = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


@contextmanager
def least_hops(folder: Path) -> Iterator[str]:
    """Both; gives the path for the host."""
    far, near = folder / "least-far", folder / "least-near"
    with ExitStack() as stack:
        for path, target in ((far, []), (near, [str(far)])):
            command = python("benchmarks.peers.least_hops", str(path), *target)
            stack.enter_context(running(command, environment(), folder / f"{path.name}.log"))
            connect(str(path)).close()
        yield str(near)


class _Connection(Protocol):
    transport: Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Transport)
        self.transport = transport


class _Agent(_Connection):
    """Runs calls."""

    def data_received(self, data: bytes) -> None:
        _, number, _command, arguments, _context = _unpack(data)
        self._running = asyncio.ensure_future(self._run(number, _read(arguments)))

    async def _run(self, number: int, arguments: dict[str, Any]) -> None:
        self.transport.write(_pack((REPLY, number, _write(await _echo(**arguments)))))


async def _echo(text: str) -> str:
    return text


class _Asker(_Connection):
    """The way to the agent."""

    def __init__(self, host: _Host) -> None:
        self._host = host

    def data_received(self, data: bytes) -> None:
        _, number, value = _unpack(data)
        self._host.answered(number, value)


class _Host(_Connection):
    """A host; it waits until there is a way to the agent.

    Args:
        path: the agent's.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._asked: dict[int, Any] = {}
        self._last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._agent, _ = await loop.create_unix_connection(lambda: _Asker(self), self._path)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        request = _read(data)
        arguments = request["arguments"]
        del arguments["session"]
        self._last += 1
        self._asked[self._last] = request["id"]
        frame = (REQUEST, self._last, request["execute"], _write(arguments), b'{"port": "p"}')
        self._agent.write(_pack(frame))

    def answered(self, number: int, value: bytes) -> None:
        """Pass an answer on."""
        _read(value)  # eventd looks whether it is what the agent declared
        self.transport.write(b'{"return": %b, "id": %b}\n' % (value, _write(self._asked.pop(number))))

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.close()


async def _serve(path: str, target: str = "") -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: _Host(target) if target else _Agent(), path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
