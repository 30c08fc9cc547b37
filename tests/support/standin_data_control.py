"""A stand-in for a Wayland compositor that has data control, and for the programs on it: for ext-data-control, which no
compositor of Debian 12 has.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_source import SELECTIONS
from guestmux_session.desktop.wayland_protocols import INTERFACES, SEAT
from guestmux_session.desktop.wayland_wire import FIRST_SERVER_ID, Cutter, Interface, decode, encode

MAX_FDS = 28

_TELLS: dict[Selection, str] = {"clipboard": "selection", "primary": "primary_selection"}


@dataclass
class Copied:
    """What is in a clipboard: a program's content by format, or the client's source."""

    data: Mapping[str, bytes] = field(default_factory=dict)
    source: int = 0
    names: list[str] = field(default_factory=list)


class StandinDataControl:
    """One client's compositor.

    Args:
        manager: the interface that is offered.
        version: of it.

    Attributes:
        current: what is in each clipboard.
        half: programs end in the middle of what they write.
    """

    def __init__(self, manager: Interface, version: int) -> None:
        self._offered = {7: (manager, version), 8: (SEAT, 5)}
        self._cutter = Cutter()
        self._objects: dict[int, Interface] = {1: INTERFACES["wl_display"]}
        self._sock: socket.socket | None = None
        self._fds: list[int] = []
        self._next = FIRST_SERVER_ID
        self._devices: list[int] = []
        self._sources: dict[int, list[str]] = {}
        self._offers: dict[int, Copied] = {}
        self._changed = anyio.Event()
        self.current: dict[Selection, Copied | None] = dict.fromkeys(SELECTIONS)
        self.half = False

    def put(self, selection: Selection, copied: Copied | None) -> None:
        """A program, or the client, copies something; None: nothing is there any more."""
        before, self.current[selection] = self.current[selection], copied
        if before is not None and before.source in self._sources:
            self._send(before.source, "cancelled")
        for device in self._devices:
            self._tell(device, selection)
        self._changed.set()
        self._changed = anyio.Event()

    async def put_by_client(self, selection: Selection) -> Copied:
        """Wait until the client has copied something."""
        while (copied := self.current[selection]) is None or not copied.source:
            await self._changed.wait()
        return copied

    async def paste(self, selection: Selection, name: str) -> bytes:
        """What a program gets that asks the client."""
        copied = self.current[selection]
        assert copied is not None
        reading, writing = os.pipe()
        self._send(copied.source, "send", name, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            return await asyncio.to_thread(pipe.read)

    def connected(self, sock: socket.socket) -> None:
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock, self._readable)

    def close(self) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    def _readable(self) -> None:
        assert self._sock is not None
        data, fds, _flags, _address = socket.recv_fds(self._sock, 65536, MAX_FDS)
        self._fds += fds
        for target, opcode, body in self._cutter.events(data):
            request = self._objects[target].requests[opcode]
            arguments = decode(request.signature, body, self._fds)
            if request.creates:
                self._objects[arguments[0]] = INTERFACES[request.creates]
            getattr(self, f"_do_{request.name}")(target, *arguments)
        if not data:
            self.close()

    def _do_get_registry(self, _target: int, registry: int) -> None:
        for number, (interface, version) in self._offered.items():
            self._send(registry, "global", number, interface.name, version)

    def _do_bind(self, _target: int, number: int, _name: str, _version: int, new: int) -> None:
        self._objects[new] = self._offered[number][0]

    def _do_sync(self, _target: int, callback: int) -> None:
        self._send(callback, "done", 0)
        self._send(1, "delete_id", callback)

    def _do_get_data_device(self, _target: int, device: int, _seat: int) -> None:
        self._devices.append(device)
        for selection in SELECTIONS:
            self._tell(device, selection)

    def _do_create_data_source(self, _target: int, source: int) -> None:
        self._sources[source] = []

    def _do_offer(self, source: int, name: str) -> None:
        self._sources[source].append(name)

    def _do_set_selection(self, _device: int, source: int) -> None:
        self._set("clipboard", source)

    def _do_set_primary_selection(self, _device: int, source: int) -> None:
        self._set("primary", source)

    def _do_receive(self, offer: int, name: str, fd: int) -> None:
        copied = self._offers[offer]
        if copied.source:
            self._send(copied.source, "send", name, fd)
        else:
            # What a pipe takes at once.
            os.write(fd, copied.data[name])
        os.close(fd)
        if self.half:
            self.put("clipboard", None)

    def _do_destroy(self, target: int) -> None:
        self._sources.pop(target, None)
        self._offers.pop(target, None)
        if target in self._devices:
            self._devices.remove(target)
        if target < FIRST_SERVER_ID:
            self._send(1, "delete_id", target)

    def _do_release(self, target: int) -> None:
        self._do_destroy(target)

    def _set(self, selection: Selection, source: int) -> None:
        names = self._sources.get(source, [])
        self.put(selection, Copied(source=source, names=names) if source else None)

    def _tell(self, device: int, selection: Selection) -> None:
        copied, number = self.current[selection], 0
        if copied is not None:
            number, self._next = self._next, self._next + 1
            self._send(device, "data_offer", number)
            event = next(one for one in self._objects[device].events if one.name == "data_offer")
            self._objects[number] = INTERFACES[event.creates]
            self._offers[number] = copied
            for name in copied.data or copied.names:
                self._send(number, "offer", name)
        self._send(device, _TELLS[selection], number)

    def _send(self, target: int, event: str, *arguments: Any) -> None:
        assert self._sock is not None
        events = self._objects[target].events
        opcode = next(number for number, one in enumerate(events) if one.name == event)
        data, fds = encode(target, opcode, events[opcode].signature, arguments)
        socket.send_fds(self._sock, [data], fds)


@asynccontextmanager
async def standin_data_control(
    path: Path, manager: Interface, version: int = 1
) -> AsyncIterator[StandinDataControl]:
    """Run one for as long as the block lasts."""
    compositor = StandinDataControl(manager, version)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.setblocking(False)
        accepting = asyncio.create_task(_accept(listening, compositor))
        try:
            yield compositor
        finally:
            accepting.cancel()
            compositor.close()


async def _accept(listening: socket.socket, compositor: StandinDataControl) -> None:
    sock, _address = await asyncio.get_running_loop().sock_accept(listening)
    compositor.connected(sock)
