"""How streams are declared."""

import json

import pytest

from guestmux_protocol.registry import Arguments, Command, command
from guestmux_session import ServedStream, stream
from guestmux_session.declarations import command_of, command_schema, commands_of
from guestmux_session.streams import stream_of

KNOWN: dict[str, Command] = {}


@command(KNOWN, "guest-tail", returns=int, stream=True)
class Tail(Arguments, frozen=True):
    """Follow a file."""

    path: str


@command(KNOWN, "guest-look", returns=int)
class Look(Arguments, frozen=True):
    """Look at a file."""

    path: str


class Follower:
    @stream("__org.example_tail", reply=int)
    async def tail(self, stream: ServedStream, path: str, lines: int = 10) -> str:
        """Follow a file."""
        return f"{stream} {path} {lines}"

    @stream_of(KNOWN["guest-tail"])
    async def known(self, arguments: Tail, stream: ServedStream) -> str:
        return f"{stream} {arguments.path}"

    @stream("__org.example_echo")
    async def echo(self, stream: ServedStream) -> None:
        """Give it back."""


def test_a_streams_schema_is_its_signature_without_the_stream() -> None:
    served = commands_of(Follower())
    assert json.loads(command_schema(served["__org.example_tail"].description)) == {
        "data": {"path": "str", "*lines": "int"},
        "returns": "int",
        "doc": "Follow a file.",
        "stream": True,
    }
    assert json.loads(command_schema(served["__org.example_echo"].description))["returns"] == {}
    assert served["guest-tail"].description is KNOWN["guest-tail"]


def test_a_stream_is_described_by_its_arguments() -> None:
    class NoStream:
        @stream("__org.example_tail")
        async def tail(self, path: str) -> None: ...

    class Nothing:
        @stream("__org.example_tail")
        async def tail(self) -> None: ...

    for owner in (NoStream(), Nothing()):
        with pytest.raises(TypeError, match="tail must take a ServedStream before its arguments"):
            commands_of(owner)


def test_a_known_stream_takes_its_arguments_and_the_stream() -> None:
    class Wrong:
        @stream_of(KNOWN["guest-tail"])
        async def tail(self, arguments: Tail) -> None: ...

    with pytest.raises(TypeError, match="must take one argument of type Tail and a ServedStream"):
        commands_of(Wrong())


def test_a_stream_is_served_by_an_async_method() -> None:
    class Blocking:
        @stream("__org.example_tail")  # type: ignore[type-var]
        def tail(self, stream: ServedStream) -> None: ...

    with pytest.raises(TypeError, match="must be async: it serves a stream"):
        commands_of(Blocking())


def test_commands_and_streams_are_not_taken_for_each_other() -> None:
    with pytest.raises(TypeError, match="'guest-look' is no stream: serve it with command_of"):
        stream_of(KNOWN["guest-look"])
    with pytest.raises(TypeError, match="'guest-tail' is a stream: serve it with stream_of"):
        command_of(KNOWN["guest-tail"])
