"""How a class declares its commands: decorators that mark methods, and the table made from the marks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from guestmux_protocol.json_text import encode
from guestmux_protocol.registry import Command, EventType
from guestmux_protocol.schema import ANYTHING, Array, Object, Type
from guestmux_protocol.schema_notation import to_notation
from guestmux_protocol.schema_python import from_python
from guestmux_session.served_stream import ServedStream
from guestmux_session.signature import arguments_of, hints_of, result_of

_MARK = "__guestmux_command__"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mark:
    """What a decorator leaves on a method: a name to describe it by, or a description that exists.

    Attributes:
        stream: whether it serves a stream.
        reply: what that stream's `accept` is given.
    """

    function: Callable[..., Any]
    name: str = ""
    known: Command | None = None
    stream: bool = False
    reply: Any = None


@dataclass(frozen=True)
class Served:
    """A command and the method that runs it.

    Attributes:
        description: its name, its types, its documentation.
        method: bound to its object; async or not.
        whole: True: the method takes the typed arguments as one object; False: one by one, by name.
        blocking: True: the method is no async one; it runs in a thread.
    """

    description: Command
    method: Callable[..., Any]
    whole: bool
    blocking: bool

    @property
    def nothing(self) -> bool:
        """Whether the command answers with an empty object."""
        returns = self.description.returns
        return isinstance(returns, Object) and not returns.members

    def prepare(self, arguments: dict[str, Any]) -> Callable[..., Any]:
        """Check decoded arguments and give the call to make with them; a stream's takes the ServedStream.

        Raises:
            InvalidParameter: they do not fit; with QEMU's text.
        """
        typed = self.description.parse(arguments)
        if self.whole:
            return lambda *stream: self.method(typed, *stream)
        given = {}
        for name in typed.__struct_fields__:
            if (value := getattr(typed, name)) is not msgspec.UNSET:
                given[name] = value
        return lambda *stream: self.method(*stream, **given)


def command(name: str) -> Callable[[Function], Function]:
    """Serve a method as a command.

    Its parameters and its return type are the command's schema, its docstring is the documentation. An async method
    is cancelled when its caller cancels; any other runs in a thread, so it may block, and cannot be cancelled.

    Args:
        name: as the host calls it; with a downstream prefix, as `__org.example_name`.
    """
    return lambda function: put_mark(function, Mark(function, name=name))


def command_of(description: Command) -> Callable[[Function], Function]:
    """Serve a method as a command that is described already; it takes the typed arguments as one object.

    Raises:
        TypeError: the description is a stream's.
    """
    if description.stream:
        raise TypeError(f"'{description.name}' is a stream: serve it with stream_of")
    return lambda function: put_mark(function, Mark(function, known=description))


def put_mark(function: Function, mark: Mark) -> Function:
    """Mark a method as one to be served."""
    setattr(function, _MARK, mark)
    return function


def commands_of(owner: object) -> dict[str, Served]:
    """The commands that an object's class declares, by name.

    Raises:
        TypeError: a method cannot be described, or two have one name.
    """
    table: dict[str, Served] = {}
    for attribute, mark in _marks(type(owner)).items():
        served = _served(mark, getattr(owner, attribute))
        if served.description.name in table:
            raise TypeError(f"{type(owner).__name__} declares '{served.description.name}' twice")
        table[served.description.name] = served
    return table


def _marks(cls: type) -> dict[str, Mark]:
    """Marks by attribute. A method that overrides a marked one stays a command."""
    return dict(_all_marks(cls))


def _all_marks(cls: type) -> Iterator[tuple[str, Mark]]:
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            mark = getattr(value, _MARK, None)
            if isinstance(mark, Mark):
                yield attribute, mark


def _served(mark: Mark, method: Callable[..., Any]) -> Served:
    blocking = not inspect.iscoroutinefunction(method)
    if mark.stream and blocking:
        raise TypeError(f"{mark.function.__qualname__} must be async: it serves a stream")
    if mark.known is not None:
        _check_whole(mark, mark.known)
        return Served(mark.known, method, whole=True, blocking=blocking)
    return Served(_described(mark), method, whole=False, blocking=blocking)


def _described(mark: Mark) -> Command:
    function = mark.function
    if mark.stream:
        _check_takes_stream(function)
    arguments = arguments_of(function, leading=2 if mark.stream else 1)
    returns = from_python(mark.reply if mark.stream else result_of(function))
    doc = inspect.cleandoc(function.__doc__ or "")
    return Command(mark.name, doc, _object(from_python(arguments)), returns, arguments, stream=mark.stream)


def _check_takes_stream(function: Callable[..., Any]) -> None:
    names = list(inspect.signature(function).parameters)[1:2]
    if not names or hints_of(function).get(names[0]) is not ServedStream:
        raise TypeError(f"{function.__qualname__} must take a ServedStream before its arguments")


def _check_whole(mark: Mark, known: Command) -> None:
    hints = hints_of(mark.function)
    taken = [hint for name, hint in hints.items() if name != "return"]
    if taken == [known.python, *([ServedStream] if mark.stream else [])]:
        return
    wanted = known.python.__name__ if known.python else "no class"
    also = " and a ServedStream" if mark.stream else ""
    raise TypeError(f"{mark.function.__qualname__} must take one argument of type {wanted}{also}")


def _object(kind: Any) -> Object:
    return kind if isinstance(kind, Object) else ANYTHING


def command_schema(description: Command) -> str:
    """A command as RegisterAgent takes it: JSON text in QAPI's notation."""
    notation: dict[str, Any] = {
        "data": to_notation(description.arguments),
        "returns": to_notation(_closed(description.returns)),
        "doc": _first_paragraph(description.doc),
    }
    return _text({**notation, "stream": True} if description.stream else notation)


def event_schema(description: EventType) -> str:
    """An event as RegisterAgent takes it."""
    return _text({"data": to_notation(_closed(description.data)), "doc": _first_paragraph(description.doc)})


def _closed(kind: Type) -> Type:
    """What we send has the members that it declares and no other, though its readers must take more."""
    if isinstance(kind, Array):
        return Array(_closed(kind.items))
    if isinstance(kind, Object) and kind.members:
        return Object(tuple(replace(member, type=_closed(member.type)) for member in kind.members))
    return kind


def _text(notation: dict[str, Any]) -> str:
    # An object that takes any member has no notation of its own: it is left out.
    if notation["data"] == "any":
        del notation["data"]
    return encode(notation).decode()


def _first_paragraph(doc: str) -> str:
    return " ".join(doc.split("\n\n")[0].split())
