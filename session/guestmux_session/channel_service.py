"""What eventd asks for over a channel: calls and streams, each run by the agent's own methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from guestmux_protocol.json_text import JsonError, decode
from guestmux_protocol.mux import Failure, Multiplexer, MuxTooLarge
from guestmux_session.calls import CallTable, Running
from guestmux_session.declarations import Served
from guestmux_session.errors import CommandError
from guestmux_session.serving import BadArguments, Serving, UnknownCommand, prepare, written
from guestmux_session.stream_call import StreamCall
from guestmux_transport.mux_stream import IncomingStream

GENERIC_ERROR, COMMAND_NOT_FOUND = "GenericError", "CommandNotFound"


class Context(msgspec.Struct, frozen=True):
    """What eventd says about a call; members that are not known are left alone.

    Attributes:
        deadline: seconds that a call has, or a stream until it is open; None for no end.
        port: the host's port.
    """

    deadline: float | None = None
    port: str = ""

    @property
    def seconds(self) -> float | None:
        """The deadline, never negative."""
        return None if self.deadline is None else max(0.0, self.deadline)


class Connection(Protocol):
    """The way back to eventd: a `MuxConnection`."""

    mux: Multiplexer

    def wake(self) -> None:
        """Have what is queued sent, soon and together with what is queued until then."""

    def send_now(self) -> None:
        """Have it sent at once."""


class ChannelService:
    """Runs calls and streams, and answers each.

    Args:
        serving: the agent's commands.
        max_streams: streams at a time.

    Attributes:
        connection: takes the answers; set before anything comes.
    """

    connection: Connection

    def __init__(self, serving: Serving, max_streams: int) -> None:
        self._serving = serving
        self._streams = CallTable(max_streams, "streams")
        self._running: dict[int, Running] = {}
        self._calls = 0
        self._closed: str | None = None

    def __repr__(self) -> str:
        return f"<ChannelService {len(self._running)} under way, {self._calls} of them calls>"

    def request(
        self, number: int, command: str, untrusted_arguments: bytes, untrusted_context: bytes
    ) -> None:
        """Begin a call."""
        try:
            self._check_open()
            served = self._serving.find(command)
            context = _context(untrusted_context)
            running = self._serving.begin(served, _members(untrusted_arguments), None)
        except CommandError as error:
            self.connection.mux.error(number, *_class_and_desc(error))
            self.connection.wake()
            return
        self._calls += 1
        self._watch(number, running, context, lambda: self._answer(number, served, running))

    def open(self, incoming: IncomingStream) -> None:
        """Begin a stream."""
        try:
            self._check_open()
            served = self._serving.find(incoming.command)
            if not served.description.stream:
                raise CommandError(f"{incoming.command} is no stream; call it")
            context = _context(incoming.context)
            prepared = prepare(served, _members(incoming.arguments))
            call = StreamCall(served, prepared, incoming, context.port)
            running = self._streams.begin(call.command, lambda: self._run(call), None)
        except CommandError as error:
            incoming.refuse(*_class_and_desc(error))
            return
        call.when_open = running.untimed
        self._watch(incoming.id, running, context, lambda: _end(call, running))

    async def _run(self, call: StreamCall) -> None:
        await self._serving.until_registered()
        await call.run()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise CommandError(self._closed)

    def _answer(self, number: int, served: Served, running: Running) -> None:
        mux = self.connection.mux
        try:
            _, text = written(served, running.result())
            mux.reply(number, text)
        except CommandError as error:
            mux.error(number, *_class_and_desc(error))
        except MuxTooLarge as error:
            mux.error(number, GENERIC_ERROR, f"the result cannot be passed on: {error}")
        self._calls -= 1
        # With others under way answers go together; a lone one has nothing to wait a turn of the loop for.
        if self._calls:
            self.connection.wake()
        else:
            self.connection.send_now()

    def _watch(self, number: int, running: Running, context: Context, then: Callable[[], None]) -> None:
        def over() -> None:
            del self._running[number]
            then()

        self._running[number] = running
        running.when_over(over, context.seconds)

    def cancel(self, number: int) -> None:
        """Stop a call, or a stream that is not open yet."""
        if running := self._running.get(number):
            running.stop("cancelled by the caller")

    def failed(self, number: int, failure: Failure) -> None:
        """Stop a stream: eventd or the host broke it."""
        if running := self._running.get(number):
            running.stop(f"given up by the {failure.party}: {failure.desc}")

    def close(self, reason: str) -> None:
        """Stop everything that runs, and begin nothing more."""
        self._closed = reason
        for running in tuple(self._running.values()):
            running.stop(reason)
        self._streams.close()


def _end(call: StreamCall, running: Running) -> None:
    try:
        running.result()
    except CommandError as error:
        call.fail(*_class_and_desc(error))


def _context(untrusted_text: bytes) -> Context:
    try:
        return _decode_context(untrusted_text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadArguments(f"the context is not what a channel carries: {error}") from error


def _members(untrusted_text: bytes) -> dict[str, Any]:
    try:
        members = decode(untrusted_text)
    except JsonError as error:
        raise BadArguments(error.desc) from error
    if type(members) is not dict:
        raise BadArguments("the arguments are no JSON object")
    return members


def _class_and_desc(error: CommandError) -> tuple[str, str]:
    return (COMMAND_NOT_FOUND if isinstance(error, UnknownCommand) else GENERIC_ERROR), error.desc


_decode_context = msgspec.json.Decoder(Context).decode
