"""The agent's connection to an X server: requests, their answers by number, events by kind."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

import anyio

from guestmux_session.desktop import x11_wire as x11
from guestmux_session.desktop.display_socket import CONNECT_TIMEOUT, DisplaySocket, connect
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable, RequestRefused
from guestmux_session.desktop.x11_address import COOKIE, XAddress, read_cookie, read_display
from guestmux_session.pulse import Pulse

ANSWER_TIMEOUT = 10.0
"""Seconds for an answer. A client that grabs the server holds it up, a menu at the most for as long as it is open."""

MAX_UNANSWERED = 16_384
"""Requests between two answers: replies carry 16 bits of a request's number, so it must stay below 65,536."""

EventHandler = Callable[[bytes], None]


class X11Connection:
    """A connection; made by `connect_x11`. All is done on its loop.

    Attributes:
        setup: what the server said of itself.
        lost_reason: why it ended; None while it is there.
    """

    def __init__(self, screen: int) -> None:
        self.setup = x11.Setup(0, 0, 0)
        self.lost_reason: str | None = None
        self._cutter = x11.Cutter(screen)
        self._socket: DisplaySocket | None = None
        self._ready = False
        self._changed = Pulse()
        self._sent = 0
        self._answered = 0
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._handlers: dict[tuple[int, bool], dict[EventHandler, bool]] = {}
        self._hurried = False
        self._atoms: dict[str, int] = {}
        self._root_masks: Counter[int] = Counter()
        self._ids: set[int] = set()
        self._last_id = 0

    def __repr__(self) -> str:
        return f"<X11Connection {self.lost_reason or 'OPEN'} pending={len(self._pending)}>"

    @property
    def queued(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._socket.queued if self._socket is not None else 0

    async def start(self, wire: DisplaySocket, cookie: bytes) -> None:
        """Say hello; for `connect_x11`.

        Raises:
            DisplayUnavailable: the server refuses, or does not answer.
        """
        self._socket = wire
        wire.send(x11.setup_request(COOKIE if cookie else b"", cookie))
        with anyio.move_on_after(CONNECT_TIMEOUT):
            while not self._ready and self.lost_reason is None:
                await self._changed.wait()
        if not self._ready:
            raise DisplayUnavailable(self.lost_reason or "the X server does not answer")

    async def ask(self, request: bytes) -> bytes:
        """Send a request and wait for its answer. Many may be under way.

        Raises:
            RequestRefused: the server answered with an error.
            DisplayLost: the connection ended, or the server does not answer.
        """
        [answer] = await self.ask_all(request)
        if isinstance(answer, RequestRefused):
            raise answer
        return answer

    async def ask_all(self, *requests: bytes) -> list[bytes | RequestRefused]:
        """Send requests and wait for their answers, without a task for each. What is refused has that for an answer.

        Raises:
            DisplayLost: as `ask`.
        """
        loop = asyncio.get_running_loop()
        answers = {self._send(request): loop.create_future() for request in requests}
        self._pending.update(answers)
        try:
            with anyio.fail_after(ANSWER_TIMEOUT):
                found = await asyncio.gather(*answers.values(), return_exceptions=True)
        except TimeoutError as error:
            self.lose("the X server does not answer")
            raise DisplayLost("the X server does not answer") from error
        finally:
            for number in answers:
                self._pending.pop(number, None)
        return [_answer(one) for one in found]

    async def done(self, request: bytes) -> None:
        """Send a request that has no answer, and wait until the server has done it.

        Raises:
            RequestRefused: the server answered with an error.
            DisplayLost: as `ask`.
        """
        refused: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        number = self._send(request)
        self._pending[number] = refused
        try:
            await self.ask(x11.get_input_focus())
        finally:
            self._pending.pop(number, None)
            failure = refused.exception() if refused.done() else None
        if failure is not None:
            raise failure

    def tell(self, request: bytes) -> None:
        """Send a request that has no answer; that it fails is told to nobody.

        Raises:
            DisplayLost: the connection ended.
        """
        if self._sent - self._answered >= MAX_UNANSWERED:
            self._send(x11.get_input_focus())
            # Nobody waits for this one, but it is known that it is answered.
            self._answered = self._sent
        self._send(request)

    def listen(
        self, code: int, handler: EventHandler, *, synthetic: bool = False, patient: bool = False
    ) -> None:
        """Hear of a kind of events, from now on.

        Args:
            code: the event's.
            handler: is given each event's bytes; it must be quick.
            synthetic: those that clients send each other, instead of those of the server's own.
            patient: they may come PAUSE_SECONDS late, so that many of them cost little.
        """
        self._handlers.setdefault((code, synthetic), {})[handler] = patient

    def unlisten(self, code: int, handler: EventHandler, *, synthetic: bool = False) -> None:
        """Hear of them no more."""
        del self._handlers[code, synthetic][handler]

    def select_root(self, mask: int) -> None:
        """Have the server send these events about the root window, until `unselect_root`; several users add up.

        Raises:
            DisplayLost: the connection ended.
        """
        self._root_masks[mask] += 1
        self._select_root()

    def unselect_root(self, mask: int) -> None:
        """One user less."""
        self._root_masks[mask] -= 1
        if self.lost_reason is None:
            self._select_root()

    def _select_root(self) -> None:
        # A client has one mask for each window.
        whole = 0
        for mask, users in self._root_masks.items():
            whole |= mask if users else 0
        self.tell(x11.select_events(self.setup.root, whole))

    async def atoms(self, *names: str) -> dict[str, int]:
        """The numbers of names.

        Raises:
            DisplayError: as `ask`.
        """
        for name in names:
            if name not in self._atoms:
                reply = await self.ask(x11.intern_atom(name, only_if_exists=False))
                self._atoms[name] = x11.atom_of(reply)
        return {name: self._atoms[name] for name in names}

    async def property(self, window: int, name: int, longs: int) -> x11.Property:
        """A window's property, at most so many units of four bytes of it.

        Raises:
            DisplayError: as `ask`; RequestRefused where the window is gone.
        """
        return x11.property_of(await self.ask(x11.get_property(window, name, longs)))

    def new_id(self) -> int:
        """A number for a window of the agent's, until `free_id`. It is given again as late as can be."""
        mask = self.setup.id_mask
        while True:
            self._last_id = (self._last_id + (mask & -mask)) & mask
            if self._last_id not in self._ids:
                self._ids.add(self._last_id)
                return self.setup.id_base | self._last_id

    def free_id(self, number: int) -> None:
        """What had this number is gone."""
        self._ids.discard(number & self.setup.id_mask)

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
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(DisplayLost(f"lost the X server: {reason}"))
        self._changed.beat()

    def close(self) -> None:
        """Close it."""
        self.lose("closed")

    def is_waited_for(self) -> bool:
        """Whether an answer is to come, or somebody heard of an event who may not wait; for the socket."""
        return bool(self._pending) or not self._ready or self._hurried

    def received(self, untrusted_data: bytes) -> None:
        """Take bytes in; for the socket. Raises WireError, DisplayUnavailable."""
        if not self._ready:
            setup = self._cutter.setup(untrusted_data)
            if setup is None:
                return
            self.setup, self._ready, untrusted_data = setup, True, b""
            self._changed.beat()
        self._hurried = False
        for packet in self._cutter.packets(untrusted_data):
            self._take(packet)

    def _take(self, packet: x11.Packet) -> None:
        if packet.kind == "event":
            for handler, patient in [*self._handlers.get((packet.code, packet.synthetic), {}).items()]:
                self._hurried = self._hurried or not patient
                handler(packet.data)
            return
        number = self._number(packet.sequence)
        self._answered = max(self._answered, number)
        answer = self._pending.get(number)
        if answer is None or answer.done():
            return
        if packet.kind == "error":
            answer.set_exception(RequestRefused(packet.code))
        else:
            answer.set_result(packet.data)

    def _number(self, sequence: int) -> int:
        """The whole number that these bits are of: the last one sent that has them."""
        return self._sent - ((self._sent - sequence) & 0xFFFF)

    def _send(self, request: bytes) -> int:
        if self.lost_reason is not None or self._socket is None:
            raise DisplayLost(f"lost the X server: {self.lost_reason}")
        self._socket.send(request)
        self._sent += 1
        return self._sent


def _answer(found: bytes | BaseException) -> bytes | RequestRefused:
    if isinstance(found, BaseException) and not isinstance(found, RequestRefused):
        raise found
    return found


async def connect_x11(display: str, authority: str = "") -> X11Connection:
    """Connect to an X server.

    Args:
        display: as DISPLAY has it.
        authority: as XAUTHORITY has it.

    Raises:
        DisplayUnavailable: it is not there, or refuses.
    """
    address = read_display(display)
    cookie = await asyncio.to_thread(read_cookie, address, authority)
    connection = X11Connection(address.screen)
    sock = await _knock(address)
    wire = DisplaySocket(sock, connection.received, connection.lose, connection.is_waited_for)
    try:
        await connection.start(wire, cookie)
    except BaseException:
        connection.close()
        raise
    return connection


async def _knock(address: XAddress) -> socket.socket:
    failure = DisplayUnavailable("there is no such display")
    for place in address.sockets:
        try:
            return await connect(place)
        except DisplayUnavailable as error:
            failure = error
    raise failure
