"""Signal handlers: which match rule each needs, and which of them a signal is for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from guestmux_transport.bus_message import Message
from guestmux_transport.bus_owners import Owners
from guestmux_transport.names import DBUS_INTERFACE, DBUS_NAME, DBUS_PATH, check_name


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal as a handler gets it.

    Attributes:
        sender: the unique name that owns the expected name.
        serial: higher than those of all messages that the same sender sent before.
    """

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: list[Any]
    serial: int = 0


SignalHandler = Callable[[Signal], None]

# One rule for all names, not one for each: the system bus allows 512 a connection and there may be 1,000 agents.
NAME_OWNER_CHANGED_RULE = (
    f"type='signal',sender='{DBUS_NAME}',path='{DBUS_PATH}',"
    f"interface='{DBUS_INTERFACE}',member='NameOwnerChanged'"
)


@dataclass(frozen=True, eq=False, slots=True)
class SignalHandle:
    """One handler and what it is for; `Bus.remove_signal_handler` takes it."""

    sender: str
    interface: str
    member: str | None
    path: str | None
    handler: SignalHandler

    @property
    def rule(self) -> str:
        """The match rule that brings its signals; the names in it are checked, so nothing needs quoting."""
        rule = f"type='signal',sender='{self.sender}',interface='{self.interface}'"
        if self.member is not None:
            rule += f",member='{self.member}'"
        if self.path is not None:
            rule += f",path='{self.path}'"
        return rule

    def check(self) -> None:
        """Check the names.

        Raises:
            InvalidValue: one is not valid.
        """
        check_name("bus name", self.sender)
        check_name("interface name", self.interface)
        if self.member is not None:
            check_name("member name", self.member)
        if self.path is not None:
            check_name("object path", self.path)

    def wants(self, signal: Message) -> bool:
        """Whether a signal is one of its, the sender left aside."""
        return (
            self.interface == signal.interface
            and self.member in {None, signal.member}
            and self.path in {None, signal.path}
        )


class SignalHandlers:
    """All signal handlers of a connection."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._handles: dict[str, list[SignalHandle]] = {}

    def add(self, handle: SignalHandle) -> None:
        """Add a handler. Each adds its own rule at the bus, which counts equal rules and sends once."""
        self._handles.setdefault(handle.interface, []).append(handle)

    def remove(self, handle: SignalHandle) -> bool:
        """Remove a handler; False when it was not there."""
        handles = self._handles.get(handle.interface, [])
        if handle not in handles:
            return False
        handles.remove(handle)
        if not handles:
            del self._handles[handle.interface]
        return True

    def matching(self, signal: Message) -> Iterator[SignalHandler]:
        """Give the handlers that a signal is for: those whose expected name its sender owns now."""
        for handle in list(self._handles.get(signal.interface or "", ())):
            if handle.wants(signal) and self._owners.owns(signal.sender, handle.sender):
                yield handle.handler
