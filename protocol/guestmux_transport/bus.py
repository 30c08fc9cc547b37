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

from guestmux_transport.bus_address import open_socket
from guestmux_transport.bus_answers import Answers, run_guarded
from guestmux_transport.bus_auth import authenticate
from guestmux_transport.bus_connection import Connection, Reply
from guestmux_transport.bus_exports import Exports, Interface
from guestmux_transport.bus_library import Library, load_library
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits
from guestmux_transport.bus_message import Message
from guestmux_transport.bus_owners import Owners
from guestmux_transport.bus_signals import (
    NAME_OWNER_CHANGED_RULE,
    Signal,
    SignalHandle,
    SignalHandler,
    SignalHandlers,
)
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.bus_standard import StandardInterfaces
from guestmux_transport.errors import (
    BusError,
    BusLost,
    BusUnavailable,
    CallError,
    NameTaken,
    QueueFull,
)
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH, PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

logger = logging.getLogger(__name__)

_NAME_HAS_NO_OWNER = "org.freedesktop.DBus.Error.NameHasNoOwner"
_NO_QUEUE = 4
_PRIMARY_OWNER, _ALREADY_OWNER = 1, 4


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


class Bus(Connection):
    """A connection with its names, signal handlers and objects; made by `connect_bus`.

    Attributes:
        unique_name: our own name on the bus, as ":1.42".
    """

    def __init__(self, sock: socket.socket, library: Library, limits: BusLimits) -> None:
        super().__init__(sock, library, limits)
        self.unique_name = ""
        self._exports = Exports()
        self._standard = StandardInterfaces(self._exports)
        self._answers = Answers(self._exports, self._standard, limits, self._send)
        self._owners = Owners()
        self._handlers = SignalHandlers(self._owners)
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        state = "LOST" if self.lost_reason else "OPEN"
        return f"<Bus {self.unique_name} {state} {self.library} calls={self.open_calls}>"

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
        self._close()
        await self._answers.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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

    def _on_call(self, message: Message, *, oversized: bool) -> None:
        self._answers.handle(message, oversized=oversized)

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
            serial=message.serial,
        )
        for handler in self._handlers.matching(message):
            run_guarded(handler, signal)

    def _name_owner_changed(self, name: str, new_owner: str | None) -> None:
        for handler in self._owners.changed(name, new_owner):
            run_guarded(handler, name)

    def _on_lost(self, reason: str) -> None:
        super()._on_lost(reason)
        self._answers.cancel()


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
