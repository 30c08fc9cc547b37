"""A stand-in for a Wayland compositor, which says what the test wants: for protocols that no compositor here has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from guestmux_session.desktop.wayland_protocols import INTERFACES
from guestmux_session.desktop.wayland_wire import FIRST_SERVER_ID, Cutter, Interface, decode, encode

MANAGER_VERSION = 1


class StandinCompositor:
    """One client's compositor.

    Attributes:
        asked: the requests that it got: the object's interface, the request's name, its arguments.
        manager: the client's object of the interface that is offered.
        version: of that interface.
    """

    def __init__(self, interface: Interface, *others: str) -> None:
        self._offered = interface
        self._others = others
        self._cutter = Cutter()
        self._objects: dict[int, Interface] = {1: INTERFACES["wl_display"]}
        self._writer: asyncio.StreamWriter | None = None
        self._next = FIRST_SERVER_ID
        self.asked: list[tuple[str, str, list[Any]]] = []
        self.manager = 0
        self.version = MANAGER_VERSION

    def send(self, target: int, event: str, *arguments: Any) -> None:
        """Send an event of an object."""
        interface = self._objects[target]
        opcode = next(number for number, one in enumerate(interface.events) if one.name == event)
        data, _fds = encode(target, opcode, interface.events[opcode].signature, arguments)
        self.send_raw(data)

    def send_raw(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def open_window(self, app_id: str, title: str) -> int:
        """A window comes; gives its handle."""
        number, self._next = self._next, self._next + 1
        self.send(self.manager, "toplevel", number)
        created = next(one.creates for one in self._offered.events if one.name == "toplevel")
        self._objects[number] = INTERFACES[created]
        self.send(number, "app_id", app_id)
        self.send(number, "title", title)
        self.send(number, "done")
        return number

    def close_window(self, window: int) -> None:
        """It goes."""
        self.send(window, "closed")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            while data := await reader.read(65536):
                for target, opcode, body in self._cutter.events(data):
                    self._take(target, opcode, body)
        finally:
            writer.close()

    def _take(self, target: int, opcode: int, body: bytes) -> None:
        interface = self._objects[target]
        request = interface.requests[opcode]
        arguments = decode(request.signature, body, [])
        self.asked.append((interface.name, request.name, arguments))
        if request.creates:
            self._objects[arguments[0]] = INTERFACES[request.creates]
        if request.name == "get_registry":
            self.send(arguments[0], "global", 7, self._offered.name, self.version)
            for number, name in enumerate(self._others):
                self.send(arguments[0], "global", 8 + number, name, MANAGER_VERSION)
        elif request.name == "bind" and arguments[1] in self._others:
            self._objects[arguments[3]] = INTERFACES[arguments[1]]
        elif request.name == "bind":
            self.manager = arguments[3]
            self._objects[self.manager] = self._offered
        elif request.name == "sync":
            self.send(arguments[0], "done", 0)
            self.send(1, "delete_id", arguments[0])


@asynccontextmanager
async def standin_compositor(
    path: Path, interface: Interface, *others: str
) -> AsyncIterator[StandinCompositor]:
    """Run one for as long as the block lasts.

    Args:
        path: its socket.
        interface: what it offers.
        others: names of interfaces that it offers as well.
    """
    compositor = StandinCompositor(interface, *others)
    async with await asyncio.start_unix_server(compositor.serve, path) as server:
        yield compositor
        server.close()
