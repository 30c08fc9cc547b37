"""What we offer on the bus: objects, their interfaces, and what a method handler is given."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from guestmux_transport.bus_message import Message
from guestmux_transport.errors import MethodError
from guestmux_transport.names import (
    ERROR_INVALID_ARGS,
    ERROR_UNKNOWN_INTERFACE,
    ERROR_UNKNOWN_METHOD,
    ERROR_UNKNOWN_OBJECT,
    check_name,
)
from guestmux_transport.signatures import split

Results = Sequence[Any] | None


@dataclass(slots=True)
class IncomingCall:
    """A method call as its handler gets it.

    Attributes:
        sender: the caller's unique name, written by the bus.
        body: the arguments, of the method's in-signature.
        fds: descriptors that came with it; those still in the list when the handler ends are closed.
        reply_fds: descriptors to send with the answer; "h" in it is an index into them. Closed once sent.
    """

    sender: str
    path: str
    interface: str
    member: str
    body: list[Any]
    fds: list[int]
    reply_fds: list[int] = field(default_factory=list)

    def take_fd(self, index: int) -> int:
        """Take over the descriptor that an "h" argument stands for; close it when done with it.

        Raises:
            MethodError: no such descriptor came with the call.
        """
        if not 0 <= index < len(self.fds) or self.fds[index] < 0:
            raise MethodError(ERROR_INVALID_ARGS, f"no file descriptor {index} came with the call")
        taken, self.fds[index] = self.fds[index], -1
        return taken


Handler = Callable[[IncomingCall], Results | Awaitable[Results]]


class Method(NamedTuple):
    """A method: its signatures, and its handler, which runs inline or gives an awaitable to run as a task."""

    in_signature: str
    out_signature: str
    handler: Handler


class Property(NamedTuple):
    """A property: its one complete type, how it is read, and written where that is allowed."""

    signature: str
    get: Callable[[], Any]
    set: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface to export.

    Attributes:
        signals: the signature of each signal; for introspection, `Bus.emit` does not look here.
    """

    name: str
    methods: Mapping[str, tuple[str, str, Handler]] = field(default_factory=dict)
    properties: Mapping[str, Property] = field(default_factory=dict)
    signals: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Check all names and signatures.

        Raises:
            InvalidValue: one is not valid.
        """
        check_name("interface name", self.name)
        for member in (*self.methods, *self.properties, *self.signals):
            check_name("member name", member)
        for in_signature, out_signature, _ in self.methods.values():
            split(in_signature)
            split(out_signature)
        for signature in (*self.signals.values(), *(item.signature for item in self.properties.values())):
            split(signature)


class Exports:
    """The exported objects: interfaces by path and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Interface]] = {}

    def add(self, path: str, interface: Interface) -> None:
        """Export an interface at a path, in place of one of the same name."""
        check_name("object path", path)
        interface.check()
        self._objects.setdefault(path, {})[interface.name] = interface

    def remove(self, path: str) -> None:
        """Take an object with all its interfaces away; does nothing when there is none."""
        self._objects.pop(path, None)

    def interfaces(self, path: str) -> Mapping[str, Interface]:
        """Give the interfaces at a path, by name; none when nothing is exported there."""
        return self._objects.get(path, {})

    def children(self, path: str) -> list[str]:
        """Give the names of the nodes just below a path, exported or on the way to something exported."""
        prefix = path if path == "/" else path + "/"
        below = (exported[len(prefix) :] for exported in self._objects if exported.startswith(prefix))
        return sorted({rest.split("/")[0] for rest in below if rest})

    def find(self, call: Message) -> tuple[Interface, Method]:
        """Find what a call is for.

        Raises:
            MethodError: there is no such object, interface or method, or it takes other arguments.
        """
        path, member = call.path or "", call.member or ""
        interfaces = self.interfaces(path)
        if not interfaces:
            raise MethodError(ERROR_UNKNOWN_OBJECT, f"no object at {path}")
        if call.interface is not None and call.interface not in interfaces:
            raise MethodError(ERROR_UNKNOWN_INTERFACE, f"no interface {call.interface} at {path}")
        candidates = interfaces.values() if call.interface is None else [interfaces[call.interface]]
        interface = next((candidate for candidate in candidates if member in candidate.methods), None)
        if interface is None:
            raise MethodError(ERROR_UNKNOWN_METHOD, f"no method {member} at {path}")
        method = Method(*interface.methods[member])
        check_arguments(call, method.in_signature)
        return interface, method


def check_arguments(call: Message, signature: str) -> None:
    """Check that a call has the arguments that a method takes.

    Raises:
        MethodError: it has others.
    """
    if call.signature != signature:
        raise MethodError(
            ERROR_INVALID_ARGS, f"{call.member} takes arguments of type {signature!r}, not {call.signature!r}"
        )
