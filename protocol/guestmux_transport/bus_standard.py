"""The interfaces every object has: Introspectable, Properties and Peer."""

from collections.abc import Iterator, Mapping
from typing import Any

from guestmux_transport.bus_exports import Exports, IncomingCall, Interface, Method, Property, Results
from guestmux_transport.bus_message import Message
from guestmux_transport.errors import MethodError
from guestmux_transport.names import (
    ERROR_INVALID_ARGS,
    ERROR_PROPERTY_READ_ONLY,
    ERROR_UNKNOWN_INTERFACE,
    ERROR_UNKNOWN_METHOD,
    ERROR_UNKNOWN_OBJECT,
    ERROR_UNKNOWN_PROPERTY,
    INTROSPECTABLE_INTERFACE,
    PEER_INTERFACE,
    PROPERTIES_INTERFACE,
)
from guestmux_transport.signatures import split
from guestmux_transport.values import Variant

DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


class StandardInterfaces:
    """Answers the standard calls from what is exported."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports
        self._interfaces = {interface.name: interface for interface in self._make()}

    def find(self, call: Message) -> tuple[Interface, Method] | None:
        """Find a standard method; None when the call is for another interface.

        Raises:
            MethodError: no such method, or nothing is exported at or below the path.
        """
        interface = self._interfaces.get(call.interface or "")
        if interface is None:
            return None
        if interface.name != PEER_INTERFACE:
            self._check_object(call.path or "")
        method = interface.methods.get(call.member or "")
        if method is None:
            raise MethodError(ERROR_UNKNOWN_METHOD, f"no method {call.member} in {interface.name}")
        return interface, Method(*method)

    def changed(self, path: str, interface_name: str, names: tuple[str, ...]) -> list[Any]:
        """Give the arguments of PropertiesChanged for some properties as they are now."""
        properties = self._exports.interfaces(path)[interface_name].properties
        return [interface_name, {name: _read(properties[name]) for name in names}, []]

    def _make(self) -> Iterator[Interface]:
        yield Interface(INTROSPECTABLE_INTERFACE, {"Introspect": ("", "s", self._introspect)})
        yield Interface(PEER_INTERFACE, {"Ping": ("", "", lambda _call: ())})
        yield Interface(
            PROPERTIES_INTERFACE,
            {
                "Get": ("ss", "v", self._get),
                "GetAll": ("s", "a{sv}", self._get_all),
                "Set": ("ssv", "", self._set),
            },
            signals={"PropertiesChanged": "sa{sv}as"},
        )

    def _check_object(self, path: str) -> None:
        if not self._exports.interfaces(path) and not self._exports.children(path) and path != "/":
            raise MethodError(ERROR_UNKNOWN_OBJECT, f"no object at {path}")

    def _introspect(self, call: IncomingCall) -> Results:
        exported = self._exports.interfaces(call.path)
        shown = [*self._interfaces.values(), *exported.values()]
        lines = [line for interface in shown for line in _interface_lines(interface)]
        lines += [f'  <node name="{name}"/>' for name in self._exports.children(call.path)]
        return (DOCTYPE + "\n".join(["<node>", *lines, "</node>"]) + "\n",)

    def _get(self, call: IncomingCall) -> Results:
        return (_read(self._property(call)),)

    def _get_all(self, call: IncomingCall) -> Results:
        properties = self._properties(call)
        return ({name: _read(item) for name, item in properties.items()},)

    def _set(self, call: IncomingCall) -> Results:
        item = self._property(call)
        value: Variant = call.body[2]
        if item.set is None:
            raise MethodError(ERROR_PROPERTY_READ_ONLY, f"{call.body[1]} cannot be written")
        if value.signature != item.signature:
            raise MethodError(ERROR_INVALID_ARGS, f"{call.body[1]} is of type {item.signature!r}")
        item.set(value.value)
        return ()

    def _property(self, call: IncomingCall) -> Property:
        item = self._properties(call).get(call.body[1])
        if item is None:
            raise MethodError(ERROR_UNKNOWN_PROPERTY, f"no property {call.body[1]} in {call.body[0]}")
        return item

    def _properties(self, call: IncomingCall) -> Mapping[str, Property]:
        name = call.body[0]
        if name in self._interfaces:
            return {}
        interface = self._exports.interfaces(call.path).get(name)
        if interface is None:
            raise MethodError(ERROR_UNKNOWN_INTERFACE, f"no interface {name} at {call.path}")
        return interface.properties


def _read(item: Property) -> Variant:
    return Variant(item.signature, item.get())


def _interface_lines(interface: Interface) -> Iterator[str]:
    """Give an interface as introspection XML; its names are checked and need no quoting."""
    yield f'  <interface name="{interface.name}">'
    for name, (in_signature, out_signature, _) in interface.methods.items():
        yield f'    <method name="{name}">'
        yield from _argument_lines(in_signature, ' direction="in"')
        yield from _argument_lines(out_signature, ' direction="out"')
        yield "    </method>"
    for name, item in interface.properties.items():
        access = "read" if item.set is None else "readwrite"
        yield f'    <property name="{name}" type="{item.signature}" access="{access}"/>'
    for name, signature in interface.signals.items():
        yield f'    <signal name="{name}">'
        yield from _argument_lines(signature, "")
        yield "    </signal>"
    yield "  </interface>"


def _argument_lines(signature: str, direction: str) -> Iterator[str]:
    for type_ in split(signature):
        yield f'      <arg type="{type_}"{direction}/>'
