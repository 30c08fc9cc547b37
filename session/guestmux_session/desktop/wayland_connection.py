"""The agent's connection to a Wayland compositor: its globals, and the objects that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from guestmux_session.desktop.display_socket import CONNECT_TIMEOUT, DisplaySocket, connect
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable, WireError
from guestmux_session.desktop.wayland_protocols import DISPLAY, INTERFACES, SCREEN
from guestmux_session.desktop.wayland_wire import (
    FIRST_SERVER_ID,
    Cutter,
    Interface,
    Message,
    decode,
    encode,
)
from guestmux_session.pulse import Pulse

MAX_OBJECTS = 16_384
"""Objects of one connection: four for each window that is followed."""

MAX_GLOBALS = 1024
"""Globals that are kept in mind; a compositor has some fifty, and one for each screen."""

MAX_SCREENS = 64
"""Outputs that are kept in mind."""

Handler = Callable[..., None]


@dataclass(frozen=True)
class Global:
    """What a compositor offers."""

    number: int
    version: int


class Proxy:
    """An object of the compositor's, on the agent's side.

    Attributes:
        id: its number on the connection.
        interface: what it can.
        version: of the interface, as it was bound.
        patient: its events may come PAUSE_SECONDS late, so that many of them cost little.
    """

    def __init__(
        self, connection: WaylandConnection, number: int, interface: Interface, version: int
    ) -> None:
        self.id = number
        self.interface = interface
        self.version = version
        self.handlers: dict[str, Handler] = {}
        self.patient = False
        self._connection = connection

    def __repr__(self) -> str:
        return f"<Proxy {self.interface.name}@{self.id}>"

    def on(self, **handlers: Handler) -> None:
        """Call these for its events; each is given the event's arguments, a new object as a Proxy. Keep them quick."""
        self.handlers |= handlers

    def ask(self, name: str, *arguments: Any) -> Proxy | None:
        """Send a request; gives the object that it creates, if any, whose number is not among the arguments.

        Raises:
            DisplayLost: the connection ended.
        """
        return self._connection.request(self, name, arguments)

    def forget(self) -> None:
        """Hear of it no more; for what the compositor has ended, where its protocol has no request for that."""
        self._connection.forget(self)


class WaylandConnection:
    """A connection; made by `connect_wayland`. All is done on its loop.

    Attributes:
        globals: what the compositor offers, by interface; of several, as there are of outputs, the last.
        screens: its outputs that are on, by number.
        on_screens: told when one came or went.
        lost_reason: why it ended; None while it is there.
    """

    def __init__(self) -> None:
        self.globals: dict[str, Global] = {}
        self.screens: dict[int, Global] = {}
        self.on_screens: Callable[[], None] | None = None
        self.lost_reason: str | None = None
        self._cutter = Cutter()
        self._socket: DisplaySocket | None = None
        self._changed = Pulse()
        self._free: list[int] = []
        self._next = 2
        self._syncs = 0
        self._hurried = False
        self._display = Proxy(self, 1, DISPLAY, 1)
        self._objects: dict[int, Proxy] = {1: self._display}
        self._display.on(error=self._on_error, delete_id=self._on_delete)
        self._registry: Proxy | None = None

    def __repr__(self) -> str:
        return f"<WaylandConnection {self.lost_reason or 'OPEN'} objects={len(self._objects)}>"

    async def start(self, wire: DisplaySocket) -> None:
        """Learn what the compositor offers; for `connect_wayland`. Raises DisplayError."""
        self._socket = wire
        self._registry = self.create(self._display, "get_registry")
        self._registry.handlers |= {"global": self._on_global, "global_remove": self._on_global_remove}
        await self.sync()

    def bind(self, interface: Interface, version: int) -> Proxy | None:
        """Use a global, in a version that both know; None where the compositor lacks it.

        Raises:
            DisplayLost: the connection ended.
        """
        offered = self.globals.get(interface.name)
        return None if offered is None else self.bind_global(offered, interface, version)

    def bind_global(self, offered: Global, interface: Interface, version: int) -> Proxy:
        """Use one of several globals; as `bind`."""
        assert self._registry is not None
        agreed = min(version, offered.version)
        proxy = self._new(interface, agreed)
        self.request(self._registry, "bind", (offered.number, interface.name, agreed, proxy.id))
        return proxy

    async def sync(self) -> None:
        """Wait until the compositor has handled what was sent, and its events were handled here.

        Raises:
            DisplayLost: the connection ended, or the compositor does not answer.
        """
        done = Pulse()
        self.create(self._display, "sync").on(done=lambda _serial: done.beat())
        self._syncs += 1
        try:
            with anyio.move_on_after(CONNECT_TIMEOUT):
                while not done.count and self.lost_reason is None:
                    await self._changed.wait()
        finally:
            self._syncs -= 1
        if not done.count:
            self.lose("it does not answer")
            raise DisplayLost(f"lost the Wayland compositor: {self.lost_reason}")

    def create(self, target: Proxy, name: str, *arguments: Any) -> Proxy:
        """Send a request that creates an object."""
        created = self.request(target, name, arguments)
        assert created is not None
        return created

    def request(self, target: Proxy, name: str, arguments: tuple[Any, ...]) -> Proxy | None:
        """Send a request; for Proxy."""
        if self.lost_reason is not None or self._socket is None:
            raise DisplayLost(f"lost the Wayland compositor: {self.lost_reason}")
        opcode = target.interface.opcodes[name]
        message = target.interface.requests[opcode]
        created = self._new(INTERFACES[message.creates], target.version) if message.creates else None
        whole = _with_new(message, arguments, created)
        data, fds = encode(target.id, opcode, message.signature, whole)
        self._socket.send(data, fds)
        if message.destroys and target.id >= FIRST_SERVER_ID:
            # Its number is the server's to give again, and what is still on its way is not read.
            self._objects.pop(target.id, None)
        elif message.destroys:
            target.handlers.clear()
        return created

    def forget(self, proxy: Proxy) -> None:
        """Its number is free again, if it was the compositor's to give; for Proxy."""
        proxy.handlers.clear()
        if proxy.id >= FIRST_SERVER_ID:
            self._objects.pop(proxy.id, None)

    async def wait_lost(self) -> None:
        """Wait until the connection has ended."""
        while self.lost_reason is None:
            await self._changed.wait()

    def lose(self, reason: str) -> None:
        """Give it up."""
        if self.lost_reason is not None:
            return
        self.lost_reason = reason
        if self._socket is not None:
            self._socket.close()
        self._changed.beat()

    def close(self) -> None:
        """Close it."""
        self.lose("closed")

    def is_waited_for(self) -> bool:
        """Whether an answer is to come, or somebody heard of an event who may not wait; for the socket."""
        return self._syncs > 0 or self._hurried

    def received(self, untrusted_data: bytes) -> None:
        """Take bytes in; for the socket. Raises WireError."""
        self._hurried = False
        for number, opcode, body in self._cutter.events(untrusted_data):
            proxy = self._objects.get(number)
            if proxy is not None:
                self._dispatch(proxy, opcode, body)
        self._changed.beat()

    def _dispatch(self, proxy: Proxy, opcode: int, body: bytes) -> None:
        if opcode >= len(proxy.interface.events):
            raise WireError(f"{proxy.interface.name} has no event {opcode}")
        event = proxy.interface.events[opcode]
        fds = self._socket.fds if self._socket is not None else []
        arguments = decode(event.signature, body, fds)
        if event.creates:
            arguments[-1] = self._enter(arguments[-1], INTERFACES[event.creates], proxy.version)
        handler = proxy.handlers.get(event.name)
        if handler is not None:
            self._hurried = self._hurried or not proxy.patient
            handler(*arguments)

    def _enter(self, number: int, interface: Interface, version: int) -> Proxy:
        if number < FIRST_SERVER_ID or number in self._objects or len(self._objects) >= MAX_OBJECTS:
            raise WireError(f"it made an object {number}, which it may not")
        proxy = self._objects[number] = Proxy(self, number, interface, version)
        return proxy

    def _new(self, interface: Interface, version: int) -> Proxy:
        if len(self._objects) >= MAX_OBJECTS:
            raise DisplayLost("too many objects of the Wayland compositor's are in use")
        number = self._free.pop() if self._free else self._next
        self._next = max(self._next, number + 1)
        proxy = self._objects[number] = Proxy(self, number, interface, version)
        return proxy

    def _on_error(self, target: int, code: int, text: str | None) -> None:
        raise WireError(f"it refused a request: object {target}, error {code}: {(text or '')[:200]}")

    def _on_delete(self, number: int) -> None:
        if number < FIRST_SERVER_ID and self._objects.pop(number, None) is not None:
            self._free.append(number)

    def _on_global(self, number: int, interface: str, version: int) -> None:
        if len(self.globals) < MAX_GLOBALS:
            self.globals[interface] = Global(number, version)
        if interface == SCREEN.name and len(self.screens) < MAX_SCREENS:
            self.screens[number] = Global(number, version)
            self._tell_screens()

    def _on_global_remove(self, number: int) -> None:
        if self.screens.pop(number, None) is not None:
            self._tell_screens()
        for name, offered in [*self.globals.items()]:
            if offered.number == number:
                del self.globals[name]

    def _tell_screens(self) -> None:
        if self.on_screens is not None:
            self.on_screens()


def _with_new(message: Message, arguments: tuple[Any, ...], created: Proxy | None) -> list[Any]:
    """The arguments with the new object's number in its place."""
    rest = iter([one.id if isinstance(one, Proxy) else one for one in arguments])
    if created is None:
        return list(rest)
    return [created.id if kind == "n" else next(rest) for kind in message.signature]


async def connect_wayland(path: Path) -> WaylandConnection:
    """Connect to a compositor.

    Args:
        path: its socket.

    Raises:
        DisplayUnavailable: it is not there, or does not answer.
    """
    connection = WaylandConnection()
    sock = await connect(str(path))
    wire = DisplaySocket(sock, connection.received, connection.lose, connection.is_waited_for)
    try:
        await connection.start(wire)
    except DisplayLost as error:
        raise DisplayUnavailable(str(error)) from error
    except BaseException:
        wire.close()
        raise
    return connection
