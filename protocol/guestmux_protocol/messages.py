"""QMP's messages: requests, replies, errors, events and the greeting (docs/interop/qmp-spec.rst in QEMU's tree)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from guestmux_protocol.errors import MAX_SHOWN, ProtocolError
from guestmux_protocol.json_text import encode, encode_guarded

Id = Any | UnsetType
"""A request's `id`: any JSON value, or UNSET where the host gave none."""

GENERIC_ERROR = "GenericError"
COMMAND_NOT_FOUND = "CommandNotFound"

MAX_ID_NESTING = 64
"""Containers within each other in an `id`. Hosts send numbers and strings; every `id` taken can be echoed."""

_EMPTY_REPLY = b'{"return": {}}\n'


class Request(Struct, frozen=True):
    """A command to run.

    Args:
        command: the command's name.
        arguments: its arguments, not yet validated.
        id: echoed in the reply.
        oob: True for `exec-oob`: the command may overtake others.
    """

    command: str
    arguments: dict[str, Any] = {}
    id: Id = UNSET
    oob: bool = False


class JsonText(Struct, frozen=True):
    """A result that is encoded already, as `encode` would; a large one is not decoded to be encoded again.

    Args:
        text: JSON, ASCII, without a newline.
    """

    text: bytes


class Reply(Struct, frozen=True):
    """A command's successful result."""

    value: Any
    id: Id = UNSET


class ErrorReply(Struct, frozen=True):
    """A command's failure: QMP's error class and a sentence for people."""

    error_class: str
    desc: str
    id: Id = UNSET


class Event(Struct, frozen=True):
    """Something that happened, with its wall-clock time."""

    name: str
    data: dict[str, Any]
    seconds: int
    microseconds: int


class Greeting(Struct, frozen=True):
    """The first message of a QMP server."""

    version: dict[str, Any]
    capabilities: list[str]


ServerMessage = Reply | ErrorReply | Event | Greeting


class RequestError(ProtocolError):
    """The other side sent JSON that is no QMP request.

    Attributes:
        desc: QEMU's own text for it (qapi/qmp-dispatch.c).
        id: the `id` to echo, where one could be read.
    """

    def __init__(self, desc: str, id: Id = UNSET) -> None:  # noqa: A002 - QMP's name
        super().__init__(desc)
        self.desc = desc
        self.id = id


class MessageError(ProtocolError):
    """The other side sent JSON that no QMP server sends."""


def parse_request(value: Any, *, oob_allowed: bool) -> Request:
    """Read a decoded JSON value as a request.

    Args:
        value: what the host sent.
        oob_allowed: whether `exec-oob` was negotiated.

    Raises:
        RequestError: with QEMU's text (qmp_dispatch_check_obj in qapi/qmp-dispatch.c), members in the order sent;
            or the `id` exceeds MAX_ID_NESTING.
    """
    if type(value) is not dict:
        raise RequestError("QMP input must be a JSON object")
    request_id = value.get("id", UNSET)
    if type(request_id) in (dict, list) and _nests_deeper(request_id, MAX_ID_NESTING):
        raise RequestError(f"QMP input member 'id' nests deeper than {MAX_ID_NESTING}")
    execute_key = ""
    for key, member in value.items():
        if key == "execute" or (key == "exec-oob" and oob_allowed):
            if type(member) is not str:
                raise RequestError(f"QMP input member '{key}' must be a string", request_id)
            if execute_key:
                raise RequestError(f"QMP input member '{key}' clashes with '{execute_key}'", request_id)
            execute_key = key
        elif key == "arguments":
            if type(member) is not dict:
                raise RequestError("QMP input member 'arguments' must be an object", request_id)
        elif key != "id":
            raise RequestError(f"QMP input member '{key[:MAX_SHOWN]}' is unexpected", request_id)
    if not execute_key:
        raise RequestError("QMP input lacks member 'execute'", request_id)
    return Request(value[execute_key], value.get("arguments", {}), request_id, execute_key == "exec-oob")


def _nests_deeper(value: Any, depth: int) -> bool:
    level = _containers([value])
    while level and depth:
        level = [inner for outer in level for inner in _containers(outer)]
        depth -= 1
    return bool(level)


def _containers(container: Any) -> list[Any]:
    values = container.values() if type(container) is dict else container
    return [value for value in values if type(value) in (dict, list)]


def parse_server_message(value: Any) -> ServerMessage:
    """Read a decoded JSON value as what a QMP server sends.

    Raises:
        MessageError: it is neither greeting, reply, error nor event, or its members have wrong types.
    """
    if type(value) is not dict:
        raise MessageError("a QMP server sends JSON objects only")
    for key, parse in _SERVER_PARSERS.items():
        if key in value:
            return parse(value)
    raise MessageError("neither a greeting nor a reply, an error or an event")


def _parse_greeting(value: dict[str, Any]) -> Greeting:
    qmp = _member(value, "QMP", dict)
    # The specification leaves the form of a capability open; those known are strings.
    capabilities = [name for name in _member(qmp, "capabilities", list) if type(name) is str]
    return Greeting(_member(qmp, "version", dict), capabilities)


def _parse_event(value: dict[str, Any]) -> Event:
    timestamp = _member(value, "timestamp", dict)
    data = _member(value, "data", dict) if "data" in value else {}
    seconds, microseconds = _member(timestamp, "seconds", int), _member(timestamp, "microseconds", int)
    return Event(_member(value, "event", str), data, seconds, microseconds)


def _parse_error(value: dict[str, Any]) -> ErrorReply:
    error = _member(value, "error", dict)
    return ErrorReply(_member(error, "class", str), _member(error, "desc", str), value.get("id", UNSET))


def _parse_reply(value: dict[str, Any]) -> Reply:
    return Reply(value["return"], value.get("id", UNSET))


_SERVER_PARSERS: dict[str, Callable[[dict[str, Any]], ServerMessage]] = {
    "return": _parse_reply,
    "error": _parse_error,
    "event": _parse_event,
    "QMP": _parse_greeting,
}


def _member(value: Mapping[str, Any], name: str, kind: type) -> Any:
    member = value.get(name)
    if type(member) is not kind:
        raise MessageError(f"member '{name}' is missing or not of type {kind.__name__}")
    return member


def _with_id(body: bytes, request_id: Id) -> bytes:
    if request_id is UNSET:
        return body + b"}\n"
    if type(request_id) is int:
        return b'%b, "id": %d}\n' % (body, request_id)
    return body + b', "id": ' + encode(request_id) + b"}\n"


def encode_request(request: Request) -> bytes:
    """Write a request as one line.

    Raises:
        JsonError: an argument is no JSON value.
    """
    body = {"exec-oob" if request.oob else "execute": request.command}
    arguments = b', "arguments": ' + encode_guarded(request.arguments) if request.arguments else b""
    return _with_id(encode(body)[:-1] + arguments, request.id)


def encode_reply(value: Any, request_id: Id = UNSET) -> bytes:
    """Write a successful reply as one line.

    Raises:
        JsonError: the value is no JSON value.
    """
    if type(value) is JsonText:
        # Joined once: each + would copy all of it.
        return b"".join((b'{"return": ', value.text, _with_id(b"", request_id)))
    if request_id is UNSET and value == {}:
        return _EMPTY_REPLY
    return _with_id(b'{"return": ' + encode(value), request_id)


def encode_error(error_class: str, desc: str, request_id: Id = UNSET) -> bytes:
    """Write an error reply as one line."""
    body = {"error": {"class": error_class, "desc": desc}}
    return _with_id(encode(body)[:-1], request_id)


def encode_event(event: Event) -> bytes:
    """Write an event as one line.

    Raises:
        JsonError: a member of the data is no JSON value.
    """
    time = event.seconds * 1_000_000 + event.microseconds
    return event_line(event.name, encode(event.data), time)


def event_line(name: str, data: bytes, time: int) -> bytes:
    """Write an event, whose data is encoded already, as one line.

    Args:
        name: the event's name.
        data: JSON, ASCII, without a newline.
        time: microseconds since the epoch.
    """
    return b'{"event": %b, "data": %b, "timestamp": {"seconds": %d, "microseconds": %d}}\n' % (
        encode(name),
        data,
        time // 1_000_000,
        time % 1_000_000,
    )


def encode_greeting(greeting: Greeting) -> bytes:
    """Write the greeting as one line."""
    return encode({"QMP": {"version": greeting.version, "capabilities": greeting.capabilities}}) + b"\n"
