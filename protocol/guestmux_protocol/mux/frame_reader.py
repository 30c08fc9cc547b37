"""Cuts a byte stream into frames; whatever a hostile peer sends, memory stays within one frame's bound."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgpack import Unpacker
from msgpack.exceptions import UnpackException

from guestmux_protocol.mux.bulk import BULK, DATA_BEGINS, Unfinished, read_head
from guestmux_protocol.mux.errors import MuxError
from guestmux_protocol.mux.frames import (
    Ack,
    Cancel,
    Close,
    Credit,
    Data,
    Error,
    Event,
    Failure,
    Frame,
    Hello,
    Nak,
    Open,
    Reply,
    Request,
    Reset,
    WireClose,
)
from guestmux_protocol.mux.limits import DEFAULT_MUX_LIMITS, DESC_BYTES, FRAME_OVERHEAD, MuxLimits

MOST_ITEMS: Final = 8
"""Members of a frame; ours have at most 6, and a later HELLO may add."""

FEED_BYTES: Final = 1 << 20
"""Given to the decoder at a time: it keeps a copy of what it was given."""

FIRST_BUFFER: Final = 4096
"""What the decoder's buffer begins with. Its own default, 1 MiB, would be a thousand agents' whole memory."""

KEPT_BUFFER: Final = 512 * 1024
"""A decoder whose buffer may have grown beyond this is thrown away: it never gives memory back."""

MOST_IDLE: Final = 4
"""Decoders kept for the next reader that gets bytes. Each takes 40 KiB, so readers between two frames have none."""

_KINDS: Final[dict[object, tuple[type[Any], tuple[int, ...]]]] = {
    0: (Hello, (6,)),
    1: (Request, (3, 4)),
    2: (Reply, (2,)),
    3: (Error, ()),
    4: (Cancel, ()),
    5: (Event, (3,)),
    6: (Ack, ()),
    7: (Open, (3, 4)),
    8: (Data, (2,)),
    9: (Credit, ()),
    10: (WireClose, ()),
    11: (Nak, ()),
}
"""For each kind its class, which has the members' types and ranges, and which members are byte strings: the classes
would take base64 text for them."""

_convert = msgspec.convert

_decode_alone = msgspec.msgpack.Decoder(
    Request | Reply | Error | Cancel | Event | Ack | Open | Data | Credit | Nak
).decode
"""One frame, of those whose class says all. It knows no bounds but theirs, and nothing of what is not there yet."""


def _frame(items: tuple[Any, ...]) -> Frame:
    """The frame of a decoded array. Also called for arrays within one: what it makes of them no frame has."""
    try:
        kind, values = _KINDS[items[0]]
        for at in values:
            if at < len(items) and type(items[at]) is not bytes:
                raise MuxError(f"member {at} of a {kind.__name__.upper()} frame is no byte string")
        frame: Frame = _convert(items, kind)
    except (IndexError, KeyError, TypeError):
        raise MuxError("a frame of no known kind, or too short") from None
    except msgspec.ValidationError as error:
        raise MuxError(f"bad frame: {error}") from None
    return frame if kind is not WireClose else _close(items, frame)


def _close(items: tuple[Any, ...], wire: Any) -> Close:
    if wire.error_class is None:
        if (wire.desc, wire.party) != (None, None) or type(items[5]) not in (bytes, type(None)):
            raise MuxError("a CLOSE without an error class has a value at most")
        return Close(wire.stream, None, wire.value)
    if wire.desc is None or wire.party is None or wire.value is not None:
        raise MuxError("a CLOSE with an error class has a text and a party, and no value")
    return Close(wire.stream, Failure(wire.error_class, wire.desc, wire.party))


class FrameReader:
    """One direction of one connection.

    Args:
        limits: bounds on what is received.
    """

    __slots__ = ("_end", "_fed", "_limits", "_over", "_unfinished", "_unpacker")

    def __init__(self, limits: MuxLimits = DEFAULT_MUX_LIMITS) -> None:
        self._limits = limits
        self._over = False
        self._fed = 0
        self._end = 0
        self._unfinished: Unfinished | None = None
        self._unpacker: Unpacker | None = None

    def __repr__(self) -> str:
        return f"<FrameReader {'over' if self._over else f'partial={self.partial}'}>"

    @property
    def partial(self) -> int:
        """Bytes that came of a frame whose end has not."""
        return self._unfinished.taken if self._unfinished else self._fed - self._end

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream.

        Args:
            data: any number of bytes, cut anywhere.

        Returns:
            the frames that ended in them. A Reset is the last one ever: what follows it is not looked at.

        Raises:
            MuxError: no frame; it has the frames before. The reader is over, too.
        """
        if len(data) < BULK and (alone := self._read_alone(data)):
            return [alone]
        frames: list[Frame] = []
        at, most = 0, self._limits.max_frame
        try:
            while at < len(data) and not self._over:
                if self._unfinished:
                    at += self._go_on(self._unfinished, data[at:] if at else data, frames)
                elif self._unpacker is None and (head := read_head(data, at, most)):
                    if (end := head.start + head.size) <= len(data):
                        frames.append(Data(head.stream, data[head.start : end]))
                        at = end
                    else:
                        self._unfinished = Unfinished(head, data, at)
                        break
                else:
                    at = self._feed(data, at, frames)
        except MuxError as error:
            self._over = True
            error.frames = frames
            raise
        return frames

    def _read_alone(self, data: bytes) -> Frame | None:
        """What comes alone and whole, as most questions and answers do, at a hundredth of a decoder's cost."""
        if self._unpacker or self._unfinished or self._over:
            return None
        try:
            frame: Frame = _decode_alone(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # what it is, or why it is none, is found the other way
        return frame

    def _go_on(self, unfinished: Unfinished, data: bytes, frames: list[Frame]) -> int:
        taken = unfinished.take(data)
        if not unfinished.missing:
            frames.append(unfinished.frame())
            self._unfinished = None
        return taken

    def _feed(self, data: bytes, start: int, frames: list[Frame]) -> int:
        """Have a decoder take the next bytes; gives where what it has not taken begins."""
        piece = data if len(data) <= FEED_BYTES and not start else data[start : start + FEED_BYTES]
        unpacker = self._unpacker or self._begin()
        grown = self.partial > KEPT_BUFFER
        self._fed += len(piece)
        try:
            unpacker.feed(piece)
            self._decode_all(unpacker, frames)
        except (ValueError, UnpackException) as error:
            raise MuxError(f"no msgpack as frames have it: {error}") from None
        rest = self.partial
        if self._over:
            frames.append(Reset(data[start + len(piece) - rest :]))
        elif rest > self._limits.value_bytes + FRAME_OVERHEAD:
            raise MuxError("a frame over the size limit")
        elif rest < len(piece) and (not rest or grown or piece.startswith(DATA_BEGINS, len(piece) - rest)):
            # What is left is the beginning of the next frame, and looked at anew.
            self._let_go(unpacker, again=not rest and not grown)
            return start + len(piece) - rest
        return start + len(piece)

    def _decode_all(self, unpacker: Unpacker, frames: list[Frame]) -> None:
        for item in unpacker:
            self._end = unpacker.tell()
            if item.__class__ not in _FRAMES:
                self._no_frame(item)
                return
            frames.append(item)

    def _no_frame(self, untrusted_item: object) -> None:
        if type(untrusted_item) is not int or untrusted_item != -1:
            raise MuxError("something that is no frame")
        self._over = True

    def _begin(self) -> Unpacker:
        """A decoder, which has seen whole frames at most."""
        idle = _IDLE.setdefault(self._limits.value_bytes, [])
        unpacker = self._unpacker = idle.pop() if idle else self._fresh()
        self._fed = self._end = unpacker.tell()
        return unpacker

    def _let_go(self, unpacker: Unpacker, *, again: bool) -> None:
        """Do without the decoder. It may be used `again` when it is not large, and in the middle of nothing."""
        idle = _IDLE[self._limits.value_bytes]
        if again and len(idle) < MOST_IDLE:
            idle.append(unpacker)
        self._unpacker = None
        self._fed = self._end = 0

    def _fresh(self) -> Unpacker:
        """A decoder that cannot be made to build more than a frame needs."""
        return Unpacker(
            use_list=False,
            list_hook=_frame,
            read_size=FIRST_BUFFER,
            max_buffer_size=self._limits.value_bytes + FRAME_OVERHEAD + FEED_BYTES,
            max_str_len=DESC_BYTES,
            max_bin_len=self._limits.value_bytes,
            max_array_len=MOST_ITEMS,
            max_map_len=0,
            max_ext_len=0,
        )


_IDLE: Final[dict[int, list[Unpacker]]] = {}
"""Decoders that nobody uses, by the largest value that they take."""

_FRAMES: Final = frozenset((Close, *(kind for kind, _ in _KINDS.values() if kind is not WireClose)))
