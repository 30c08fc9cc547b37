"""The frames of the mux dialect: flat msgpack arrays `[kind, ...]`, each a frozen class that is its own codec.

Nothing is nested, so that a streaming decoder has nothing to build but integers, strings and byte strings of bounded
size. A value (arguments, a result, an event's data) is a byte string with the JSON text that the `qmp` dialect would
carry: what is relayed is neither decoded nor encoded on the way.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from guestmux_protocol.mux.limits import DESC_BYTES, LEAST_FRAME, MOST_NUMBER, NAME_BYTES

Id: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_NUMBER)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=MOST_NUMBER)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_NUMBER)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_BYTES)]
Desc: TypeAlias = Annotated[str, Meta(max_length=DESC_BYTES)]
Party: TypeAlias = Literal["host", "eventd", "agent"]

RESET: Final = b"\xff"
"""At a frame's boundary: no mux any more. As a msgpack integer it is -1, and no frame is an integer."""


class Hello(Struct, frozen=True, array_like=True, gc=False, tag=0):
    """The first frame of both ends: what this end takes. Members that a later version adds are passed over.

    `mask` is empty, or a permutation of the 256 bytes by which the peer is to replace those of its DATA; see mask.py.
    """

    version: Count
    max_frame: Annotated[int, Meta(ge=LEAST_FRAME, le=MOST_NUMBER)]
    window: Count
    max_streams: Count
    max_requests: Count
    mask: bytes = b""


class Request(Struct, frozen=True, array_like=True, gc=False, tag=1, forbid_unknown_fields=True):
    """The asker wants a command run. `arguments` and `context` are JSON objects."""

    id: Id
    command: Name
    arguments: bytes
    context: bytes


class Reply(Struct, frozen=True, array_like=True, gc=False, tag=2, forbid_unknown_fields=True):
    """The result of a REQUEST; or an OPEN is accepted."""

    id: Id
    value: bytes


class Error(Struct, frozen=True, array_like=True, gc=False, tag=3, forbid_unknown_fields=True):
    """A REQUEST failed, or an OPEN is refused."""

    id: Id
    error_class: Name
    desc: Desc


class Cancel(Struct, frozen=True, array_like=True, gc=False, tag=4, forbid_unknown_fields=True):
    """The asker does not want the answer any more. It still gets one."""

    id: Id


class Event(Struct, frozen=True, array_like=True, gc=False, tag=5, forbid_unknown_fields=True):
    """Something happened. `time` is in microseconds since 1970."""

    seq: Number
    name: Name
    data: bytes
    time: Number


class Ack(Struct, frozen=True, array_like=True, gc=False, tag=6, forbid_unknown_fields=True):
    """Events up to `seq` arrived; to an agent, the last of them is number `number` of the journal."""

    seq: Number
    number: Number | None


class Open(Struct, frozen=True, array_like=True, gc=False, tag=7, forbid_unknown_fields=True):
    """The asker wants a command run that serves a stream."""

    stream: Id
    command: Name
    arguments: bytes
    context: bytes


class Data(Struct, frozen=True, array_like=True, gc=False, tag=8, forbid_unknown_fields=True):
    """Bytes of a stream, for which there was credit."""

    stream: Id
    data: Annotated[bytes, Meta(min_length=1)]


class Credit(Struct, frozen=True, array_like=True, gc=False, tag=9, forbid_unknown_fields=True):
    """The sender of this takes `count` bytes more of a stream."""

    stream: Id
    count: Count


class Failure(Struct, frozen=True, gc=False):
    """Why a stream broke, and which party broke it."""

    error_class: Name
    desc: Desc
    party: Party


class Close(Struct, frozen=True, gc=False):
    """The sender of this sends nothing more; with a failure, both directions end."""

    stream: Id
    failure: Failure | None = None
    value: bytes | None = None


class Nak(Struct, frozen=True, array_like=True, gc=False, tag=11, forbid_unknown_fields=True):
    """An agent's event was refused."""

    seq: Number
    error_class: Name
    desc: Desc


class Reset(Struct, frozen=True, gc=False):
    """The byte 0xFF came at a frame's boundary; `rest` is what came after it."""

    rest: bytes


class WireClose(Struct, frozen=True, array_like=True, gc=False, tag=10, forbid_unknown_fields=True):
    """CLOSE as it is sent: flat."""

    stream: Id
    error_class: Name | None
    desc: Desc | None
    party: Party | None
    value: bytes | None


Frame: TypeAlias = (
    Hello | Request | Reply | Error | Cancel | Event | Ack | Open | Data | Credit | Close | Nak | Reset
)

_encode = msgspec.msgpack.Encoder().encode


def encode(frame: Frame) -> bytes:
    """The bytes of a frame.

    Raises:
        UnicodeEncodeError: a name or text has half of a surrogate pair.
    """
    if type(frame) is Close:
        return _encode(_flat(frame))
    if type(frame) is Hello and not frame.mask:
        return _encode((0, *(getattr(frame, name) for name in Hello.__struct_fields__[:-1])))
    if type(frame) is Reset:
        return RESET + frame.rest
    return _encode(frame)


def encode_data(stream: int, data: bytes | bytearray | memoryview) -> bytes:
    """The bytes of a DATA, without a copy of its content before."""
    return _encode((8, stream, data))


def encode_event(seq: int, name: str, data: bytes, time: int) -> bytes:
    """The bytes of an EVENT; they come by the thousand, so without making the frame.

    Raises:
        UnicodeEncodeError: as for `encode`.
    """
    return _encode((5, seq, name, data, time))


def _flat(close: Close) -> WireClose:
    failure = close.failure
    if failure is None:
        return WireClose(close.stream, None, None, None, close.value)
    return WireClose(close.stream, failure.error_class, failure.desc, failure.party, None)
