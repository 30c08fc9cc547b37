"""One connection to a message bus: calls with a deadline, signals out, messages in, and its loss."""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec

from guestmux_transport.bus_calls import PendingCalls
from guestmux_transport.bus_codec import Codec
from guestmux_transport.bus_framing import Frame
from guestmux_transport.bus_library import Library
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.bus_message import METHOD_CALL, NO_REPLY_EXPECTED, SIGNAL, Message
from guestmux_transport.bus_socket import BusSocket, close_fds
from guestmux_transport.errors import BusError, MalformedMessage

logger = logging.getLogger(__name__)

# Seconds; the libraries' and systemd's own default for a call.
DEFAULT_CALL_TIMEOUT = 25.0

_LAST_SERIAL = 0xFFFFFFFF


class Reply(msgspec.Struct):
    """The answer to a call.

    Attributes:
        body: the values, with `Variant` for each "v" and an index into `fds` for each "h".
        fds: descriptors that came with it, the caller's to close.
        sender: the unique name of who answered.
        serial: as of `Signal`.
    """

    signature: str
    body: Sequence[Any]
    fds: list[int]
    sender: str = ""
    serial: int = 0


class Connection(ABC):
    """What `Bus` stands on; says nothing to the bus by itself.

    Attributes:
        library: "dbus-fast" or "dbus-next".
        lost_reason: why the connection is gone; None while it is there.
    """

    def __init__(self, sock: socket.socket, library: Library, limits: BusLimits) -> None:
        self.library = library.name
        self.lost_reason: str | None = None
        self._loop = asyncio.get_running_loop()
        self._codec = Codec(library, message_bytes=limits.message_bytes)
        self._socket = BusSocket(
            sock,
            message_bytes=limits.message_bytes,
            queued_bytes=limits.queued_bytes,
            messages_per_wakeup=limits.messages_per_wakeup,
            on_frame=self._on_frame,
            on_lost=self._on_lost,
        )
        self._serial = 0
        self._lost = anyio.Event()
        self._calls = PendingCalls(limits)

    @property
    def open_calls(self) -> int:
        """How many of our calls the bus has open, those past their deadline included."""
        return len(self._calls)

    async def wait_lost(self) -> None:
        """Return when the connection is gone."""
        await self._lost.wait()

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout: float = DEFAULT_CALL_TIMEOUT,
        fds: Sequence[int] = (),
    ) -> Reply:
        """Call a method and wait for its answer.

        Args:
            destination: a unique or well-known name.
            path: the object.
            interface: its interface.
            member: the method.
            signature: the types of the arguments.
            body: the arguments, with `Variant` for each "v".
            timeout: seconds for all of it: waiting for a slot (`bus_slots`), sending, the answer.
            fds: descriptors to pass, at most 16 on a system bus; they stay the caller's, who keeps them open
                until this returns.

        Raises:
            CallError: the answer is an error.
            CallTimeout: no answer in time; a late one is dropped.
            BusLost: the connection is gone, or went before the answer came.
            QueueFull: the bus does not read, or too many calls wait for a slot.
            InvalidValue: something D-Bus cannot carry; nothing was sent.
            TooLarge: the call, or its answer, is over the size limit.
        """
        ends = self._loop.time() + timeout
        call = Message(
            kind=METHOD_CALL,
            serial=self._next_serial(),
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body,
            fds=list(fds),
        )
        data = self._codec.encode(call)
        await self._calls.take_slot(destination, timeout)
        try:
            self._socket.send(data, fds)
        except BusError:
            self._calls.give_back(destination)
            raise
        reply = await self._calls.wait(call.serial, destination, timeout, ends)
        return Reply(reply.signature, reply.body, reply.fds, reply.sender or "", reply.serial)

    def tell(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
    ) -> None:
        """Call a method without wanting an answer; whether it was carried out is not known.

        Raises:
            BusLost, QueueFull, InvalidValue, TooLarge: as `emit`.
        """
        self._send(
            Message(
                kind=METHOD_CALL,
                flags=NO_REPLY_EXPECTED,
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )

    def emit(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        destination: str | None = None,
    ) -> None:
        """Send a signal, to everybody or to one destination.

        Raises:
            BusLost: the connection is gone.
            QueueFull: the bus does not read; nothing was sent.
            InvalidValue, TooLarge: as `call`.
        """
        self._send(
            Message(
                kind=SIGNAL,
                flags=NO_REPLY_EXPECTED,
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
            )
        )

    @abstractmethod
    def _on_call(self, message: Message, *, oversized: bool) -> None: ...

    @abstractmethod
    def _on_signal(self, message: Message, *, oversized: bool) -> None: ...

    def _close(self) -> None:
        self._socket.close()
        self._on_lost("the connection to the bus was closed here")

    def _next_serial(self) -> int:
        self._serial = self._serial % _LAST_SERIAL + 1
        return self._serial

    def _send(self, message: Message) -> None:
        message.serial = self._next_serial()
        self._socket.send(self._codec.encode(message), message.fds)

    def _on_frame(self, frame: Frame, fds: list[int]) -> None:
        try:
            message = self._codec.decode(frame.data, fds)
        except MalformedMessage as error:
            close_fds(fds)
            logger.warning("dropped: %s", error)
            return
        if message.kind == METHOD_CALL:
            self._on_call(message, oversized=frame.oversized)
        elif message.kind == SIGNAL:
            self._on_signal(message, oversized=frame.oversized)
        else:
            self._calls.answer(message, oversized=frame.oversized)

    def _on_lost(self, reason: str) -> None:
        if self.lost_reason is not None:
            return
        self.lost_reason = reason
        self._calls.lose(reason)
        self._lost.set()
