"""The D-Bus adapter: one connection to a message bus, every call bounded in time, every queue in size.

    async with connect_bus(system_bus_address()) as bus:
        reply = await bus.call("org.freedesktop.login1", "/org/freedesktop/login1",
                               "org.freedesktop.login1.Manager", "ListSessions")

All the work is done on the loop that `connect_bus` ran on; nothing here may be used from another thread.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import msgspec

from guestmux_transport.bus_address import open_socket
from guestmux_transport.bus_answers import Answers, run_guarded
from guestmux_transport.bus_auth import authenticate
from guestmux_transport.bus_calls import PendingCalls
from guestmux_transport.bus_codec import Codec
from guestmux_transport.bus_exports import Exports, Interface
from guestmux_transport.bus_framing import Frame
from guestmux_transport.bus_library import Library, load_library
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits
from guestmux_transport.bus_message import METHOD_CALL, NO_REPLY_EXPECTED, SIGNAL, Message
from guestmux_transport.bus_owners import Owners
from guestmux_transport.bus_signals import (
    NAME_OWNER_CHANGED_RULE,
    Signal,
    SignalHandle,
    SignalHandler,
    SignalHandlers,
)
from guestmux_transport.bus_socket import BusSocket, close_fds
from guestmux_transport.bus_standard import StandardInterfaces
from guestmux_transport.errors import (
    BusError,
    BusLost,
    BusUnavailable,
    CallError,
    MalformedMessage,
    NameTaken,
    QueueFull,
)
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

logger = logging.getLogger(__name__)

# Seconds; the libraries' and systemd's own default for a call.
DEFAULT_CALL_TIMEOUT = 25.0

_LAST_SERIAL = 0xFFFFFFFF
_NAME_HAS_NO_OWNER = "org.freedesktop.DBus.Error.NameHasNoOwner"
_NO_QUEUE = 4
_PRIMARY_OWNER, _ALREADY_OWNER = 1, 4


class Reply(msgspec.Struct):
    """The answer to a call.

    Attributes:
        body: the values, with `Variant` for each "v" and an index into `fds` for each "h".
        fds: descriptors that came with it, the caller's to close.
    """

    signature: str
    body: Sequence[Any]
    fds: list[int]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a connection is, as the kernel told the bus when it connected.

    Attributes:
        pidfd: a descriptor of the process, the caller's to close; None where the bus offers none (dbus-daemon
            before 1.15.8).
    """

    uid: int
    pid: int
    pidfd: int | None = None


class Bus:
    """One connection; made by `connect_bus`.

    Attributes:
        unique_name: our own name on the bus, as ":1.42".
        library: "dbus-fast" or "dbus-next".
        lost_reason: why the connection is gone; None while it is there.
    """

    def __init__(self, sock: socket.socket, library: Library, limits: BusLimits) -> None:
        self.unique_name = ""
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
        self._exports = Exports()
        self._standard = StandardInterfaces(self._exports)
        self._answers = Answers(self._exports, self._standard, limits, self._send)
        self._owners = Owners()
        self._handlers = SignalHandlers(self._owners)
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        state = "LOST" if self.lost_reason else "OPEN"
        return f"<Bus {self.unique_name} {state} {self.library} calls={len(self._calls)}>"

    async def start(self, already_read: bytes) -> None:
        """Say hello to the bus; for `connect_bus`.

        Raises:
            BusError: it did not go well.
        """
        self._socket.start(already_read)
        reply = await self._call_bus("Hello")
        self.unique_name = reply.body[0]
        await self._call_bus("AddMatch", "s", [NAME_OWNER_CHANGED_RULE])

    async def aclose(self) -> None:
        """Close the connection: calls under way end with BusLost, handlers are cancelled."""
        self._socket.close()
        self._on_lost("the connection to the bus was closed here")
        await self._answers.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        reply = await self._calls.wait(call.serial, destination, ends - self._loop.time())
        return Reply(reply.signature, reply.body, reply.fds)

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

    def export(self, path: str, interface: Interface) -> None:
        """Offer an interface at a path.

        Raises:
            InvalidValue: a name or signature in it is not valid.
        """
        self._exports.add(path, interface)

    def unexport(self, path: str) -> None:
        """Take an object with all its interfaces away."""
        self._exports.remove(path)

    def properties_changed(self, path: str, interface: str, *names: str) -> None:
        """Tell everybody the values that properties of an exported interface have now.

        Raises:
            BusLost, QueueFull, InvalidValue, TooLarge: as `emit`.
        """
        body = self._standard.changed(path, interface, names)
        self.emit(path, PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body)

    async def add_signal_handler(
        self,
        *,
        sender: str,
        interface: str,
        handler: SignalHandler,
        member: str | None = None,
        path: str | None = None,
    ) -> SignalHandle:
        """Call `handler` for signals from whoever owns the name `sender` at that moment, and nobody else.

        Args:
            sender: the expected name, well-known or unique; it need not have an owner yet.
            interface: the signals' interface.
            handler: runs inline, so it has to be quick; what it raises is logged.
            member: only this signal; None for all of the interface.
            path: only from this object; None for all.

        Raises:
            BusError: as `call`; then there is no handler.
        """
        handle = SignalHandle(sender, interface, member, path, handler)
        handle.check()
        self._handlers.add(handle)
        ask = self._owners.track(sender)
        try:
            await self._call_bus("AddMatch", "s", [handle.rule])
            if ask:
                self._owners.found(sender, await self._name_owner(sender))
        except BaseException:
            self.remove_signal_handler(handle)
            raise
        return handle

    def remove_signal_handler(self, handle: SignalHandle) -> None:
        """Take a handler and its match rule away; does nothing when it is not there."""
        if not self._handlers.remove(handle):
            return
        self._owners.untrack(handle.sender)
        # With a full queue the rule stays at the bus; its signals find no handler.
        with suppress(BusLost, QueueFull):
            self.tell(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, "RemoveMatch", "s", [handle.rule])

    def watch_sender(self, unique_name: str, handler: Callable[[str], None]) -> None:
        """Call `handler(unique_name)` once when that connection has left the bus, or if it already has.

        When our own connection is lost it is not called: `wait_lost` says so for all at once.
        """
        if self._owners.watch(unique_name, handler):
            self._start(self._check_still_there(unique_name))

    def unwatch_sender(self, unique_name: str, handler: Callable[[str], None]) -> None:
        """Take a `watch_sender` back."""
        self._owners.unwatch(unique_name, handler)

    async def request_name(self, name: str) -> None:
        """Own a well-known name, until `release_name` or the end of the connection.

        Raises:
            NameTaken: another process owns it.
            CallError: the bus's policy does not let us.
            BusError: as `call`.
        """
        reply = await self._call_bus("RequestName", "su", [name, _NO_QUEUE])
        if reply.body[0] not in {_PRIMARY_OWNER, _ALREADY_OWNER}:
            raise NameTaken(f"another process owns the bus name {name}")

    async def release_name(self, name: str) -> None:
        """Give a well-known name up; does nothing when we do not own it.

        Raises:
            BusError: as `call`.
        """
        await self._call_bus("ReleaseName", "s", [name])

    async def credentials(self, unique_name: str) -> Credentials:
        """Ask the bus who a connection is.

        Raises:
            CallError: it has left the bus, or the bus does not know.
            BusError: as `call`.
        """
        reply = await self._call_bus("GetConnectionCredentials", "s", [unique_name])
        known: dict[str, Variant] = reply.body[0]
        try:
            uid, pid = known["UnixUserID"].value, known["ProcessID"].value
        except KeyError as error:
            close_fds(reply.fds)
            raise CallError(
                "org.freedesktop.DBus.Error.UnixProcessIdUnknown", "the bus does not say"
            ) from error
        index = known["ProcessFD"].value if "ProcessFD" in known else None
        pidfd = reply.fds.pop(index) if index is not None and index < len(reply.fds) else None
        close_fds(reply.fds)
        return Credentials(uid, pid, pidfd)

    async def _call_bus(self, member: str, signature: str = "", body: Sequence[Any] = ()) -> Reply:
        return await self.call(DBUS_NAME, DBUS_PATH, DBUS_INTERFACE, member, signature, body)

    async def _name_owner(self, name: str) -> str | None:
        try:
            reply = await self._call_bus("GetNameOwner", "s", [name])
        except CallError as error:
            if error.name != _NAME_HAS_NO_OWNER:
                raise
            return None
        return str(reply.body[0])

    async def _check_still_there(self, unique_name: str) -> None:
        with suppress(BusError):
            reply = await self._call_bus("NameHasOwner", "s", [unique_name])
            if not reply.body[0]:
                self._name_owner_changed(unique_name, None)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            self._answers.handle(message, oversized=frame.oversized)
        elif message.kind == SIGNAL:
            self._on_signal(message, oversized=frame.oversized)
        else:
            self._calls.answer(message, oversized=frame.oversized)

    def _on_signal(self, message: Message, *, oversized: bool) -> None:
        close_fds(message.fds)
        if oversized:
            logger.warning("dropped a signal over the size limit: %r", message)
            return
        if (
            message.sender == DBUS_NAME
            and message.member == "NameOwnerChanged"
            and message.signature == "sss"
        ):
            self._name_owner_changed(message.body[0], message.body[2] or None)
        signal = Signal(
            sender=message.sender or "",
            path=message.path or "",
            interface=message.interface or "",
            member=message.member or "",
            signature=message.signature,
            body=list(message.body),
        )
        for handler in self._handlers.matching(message):
            run_guarded(handler, signal)

    def _name_owner_changed(self, name: str, new_owner: str | None) -> None:
        for handler in self._owners.changed(name, new_owner):
            run_guarded(handler, name)

    def _on_lost(self, reason: str) -> None:
        if self.lost_reason is not None:
            return
        self.lost_reason = reason
        self._calls.lose(reason)
        self._answers.cancel()
        self._lost.set()


@asynccontextmanager
async def connect_bus(
    address: str,
    *,
    timeout: float = 10.0,
    library: str | None = None,
    limits: BusLimits = DEFAULT_BUS_LIMITS,
) -> AsyncIterator[Bus]:
    """Connect to a bus; the connection ends with the block.

    Args:
        address: a D-Bus address with a unix socket in it, as "unix:path=/run/dbus/system_bus_socket".
        timeout: seconds until the bus has to know us.
        library: "dbus-fast" or "dbus-next"; the faster one installed when not said.
        limits: what the connection may use up.

    Raises:
        BusUnavailable: no bus there, it refused, or it did not answer in time.
    """
    bus = await _open(address, timeout, load_library(library), limits)
    try:
        yield bus
    finally:
        with anyio.CancelScope(shield=True):
            await bus.aclose()


async def _open(address: str, timeout: float, library: Library, limits: BusLimits) -> Bus:
    try:
        with anyio.fail_after(timeout):
            return await _shake_hands(await open_socket(address), library, limits)
    except TimeoutError as error:
        raise BusUnavailable(f"the bus at {address} did not answer within {timeout:g} s") from error
    except BusUnavailable:
        raise
    except BusError as error:
        raise BusUnavailable(f"the bus at {address} does not take us: {error}") from error


async def _shake_hands(sock: socket.socket, library: Library, limits: BusLimits) -> Bus:
    try:
        already_read = await authenticate(sock)
        bus = Bus(sock, library, limits)
    except BaseException:
        sock.close()
        raise
    try:
        await bus.start(already_read)
    except BaseException:
        await bus.aclose()
        raise
    return bus
