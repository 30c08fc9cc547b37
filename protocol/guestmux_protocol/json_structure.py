"""Where a JSON value ends, found in chunks, without decoding it.

As in QEMU's json-streamer.c a value ends when its braces and its brackets are both closed, or when one kind
was closed once too often; whether the text between them is JSON is the decoder's question. The byte classes
are ranges of what is accepted: `re` runs over those four times as fast as over negated ones.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from itertools import islice

import msgspec

SHALLOW = 3
"""Levels of complete containers that one expression passes over; each costs one more scan at worst."""

WINDOW = 16 * 1024
"""Bytes in which to look for what is complete: a string that goes on beyond them was looked at in vain."""

_PLAIN = rb"[\t\n\r !#-&(-Z\\^-z|~-\xfe]"
_RUN = {ord('"'): rb"[ !#-\[\]-\xfe]", ord("'"): rb"[ -&(-\[\]-\xfe]"}
_ESCAPE = rb"\\[ -\xfe]"


def _string(quote: int) -> bytes:
    """The pattern of one complete string."""
    run, mark = _RUN[quote], bytes([quote])
    return mark + run + rb"*+(?:" + _ESCAPE + run + rb"*+)*+" + mark


def _inside(levels: int, *quotes: int) -> bytes:
    """The pattern of a container's complete contents, at most `levels` deep."""
    parts = [_PLAIN + rb"++", *(_string(quote) for quote in quotes)]
    if levels:
        below = _inside(levels - 1, *quotes)
        parts += [rb"\{" + below + rb"\}", rb"\[" + below + rb"\]"]
    return rb"(?:" + rb"|".join(parts) + rb")*+"


OBJECT_PATTERN = rb"\{" + _inside(SHALLOW, ord('"')) + rb"\}"
"""One complete object with nothing unusual in it."""

_COMPLETE = re.compile(_inside(SHALLOW, *_RUN))
_COMPLETE_FLAT = re.compile(_inside(0, *_RUN))
_IN_STRING = {quote: re.compile(rb"(?:" + run + rb"++|" + _ESCAPE + rb")*+") for quote, run in _RUN.items()}
_NOTHING_CLOSED = re.compile(rb"[\t\n\r !#-&(-\\^-|~-\xfe]*+")
_NOTHING_OPENED = re.compile(rb"[\t\n\r !#-&(-Z\\-z|-\xfe]*+")
_OPENER = re.compile(rb"[\[{]")
_STRING_SO_FAR = rb"""(?s:"(?:[^"\\]++|\\.?+)*+"?+|'(?:[^'\\]++|\\.?+)*+'?+)"""
_TOKEN = rb"[\t\n\r ]*+(?:[{}\[\],:]|" + _STRING_SO_FAR + rb"|[^\t\n\r \"'{}\[\],:]++)"
_TOKEN_EDGES = b"\t\n\r \"'{}[],:"
_NO_TOKEN_EDGES = bytes(set(range(256)) - set(_TOKEN_EDGES))
_STRIDE = 1024
_MANY_TOKENS = re.compile(rb"(?:" + _TOKEN + rb"){%d}+" % _STRIDE)
# The end matches too: a search that finds no token begins again at each byte of the white space.
_TOKEN_OR_END = re.compile(_TOKEN + rb"|[\t\n\r ]*+(\Z)")

_LONG = 256
"""Bytes of a string from which on three passes at the speed of memory are faster than one of `re`."""

_decode_text = msgspec.json.Decoder(str).decode
_LEAST_STRING_BYTE = 0x20
_RESET = 0xFF
_BACKSLASH = 0x5C
_STRING_BYTES = bytes(range(_LEAST_STRING_BYTE, _RESET))


class Verdict(Enum):
    """What stopped a scan."""

    MORE = auto()  # the value goes on after the bytes given
    DONE = auto()  # the value ended just before the position returned
    BROKEN = auto()  # the byte at the position returned cannot be inside a value
    DEEP = auto()  # the nesting limit was passed just before the position returned


class Structure:
    """The open braces, brackets and string of one value.

    Args:
        nesting: braces and brackets that may be open at a time.
    """

    __slots__ = ("_braces", "_brackets", "_escaped", "_nesting", "_quote", "_scanned", "string_at")

    def __init__(self, nesting: int) -> None:
        self._nesting = nesting
        self._braces = 0
        self._brackets = 0
        self._quote: int | None = None
        self._escaped = False
        self._scanned = 0
        self.string_at = 0

    @property
    def in_string(self) -> bool:
        """Whether a string is open; it began `string_at` bytes after the value did."""
        return self._quote is not None

    def allow_any_depth(self) -> None:
        """From here on count without a limit: the value is being skipped."""
        self._nesting = 1 << 62

    def scan(self, data: bytes, pos: int, stop: int) -> tuple[Verdict, int]:
        """Go on over data[pos:stop], which follows what was scanned before.

        Returns:
            what stopped the scan, and where.
        """
        begin = pos
        verdict = Verdict.MORE
        while verdict is Verdict.MORE and pos < stop:
            if self._quote is None:
                verdict, pos = self._pass_complete(data, pos, stop, begin)
            else:
                verdict, pos = self._pass_string(data, pos, stop, self._quote)
        self._scanned += pos - begin
        return verdict, pos

    def _pass_complete(self, data: bytes, pos: int, stop: int, begin: int) -> tuple[Verdict, int]:
        """Pass everything complete at once, then what opens, closes or breaks."""
        deep = self._braces + self._brackets + SHALLOW > self._nesting
        # A value that only begins has depth zero: what is complete there would be the value itself.
        if self._braces or self._brackets:
            window = min(stop, pos + WINDOW)
            match = (_COMPLETE_FLAT if deep else _COMPLETE).match(data, pos, window)
            pos = match.end() if match else pos
            if pos == window:
                return Verdict.MORE, pos
        byte = data[pos]
        if byte in b"[{":
            return self._pass_opened(data, pos, stop)
        if byte in b"]}":
            return self._pass_closed(data, pos, stop)
        if byte not in _RUN:
            return Verdict.BROKEN, pos
        self._quote = byte
        self.string_at = self._scanned + pos - begin
        return Verdict.MORE, pos + 1

    def _pass_string(self, data: bytes, pos: int, stop: int, quote: int) -> tuple[Verdict, int]:
        if self._escaped and _LEAST_STRING_BYTE <= data[pos] < _RESET:
            self._escaped = False
            return Verdict.MORE, pos + 1
        if not self._escaped:
            pos = _string_end(data, pos, stop, quote)
        if pos == stop:
            return Verdict.MORE, pos
        if data[pos] == quote:
            self._quote = None
            return self._ended(), pos + 1
        if data[pos] == _BACKSLASH:
            self._escaped = True
            return Verdict.MORE, pos + 1
        return Verdict.BROKEN, pos

    def _pass_opened(self, data: bytes, pos: int, stop: int) -> tuple[Verdict, int]:
        """Count what opens up to the next string, closer or broken byte."""
        match = _NOTHING_CLOSED.match(data, pos, stop)
        end = match.end() if match else pos
        room = self._nesting - self._braces - self._brackets
        braces, brackets = data.count(b"{", pos, end), data.count(b"[", pos, end)
        if braces + brackets <= room:
            self._braces += braces
            self._brackets += brackets
            return Verdict.MORE, end
        end = next(islice(_OPENER.finditer(data, pos, end), room, None)).end()
        self._braces += data.count(b"{", pos, end)
        self._brackets += data.count(b"[", pos, end)
        return Verdict.DEEP, end

    def _pass_closed(self, data: bytes, pos: int, stop: int) -> tuple[Verdict, int]:
        """Count what closes up to the next string, opener or broken byte."""
        match = _NOTHING_OPENED.match(data, pos, stop)
        end = match.end() if match else pos
        braces = self._braces - data.count(b"}", pos, end)
        brackets = self._brackets - data.count(b"]", pos, end)
        if braces >= 0 and brackets >= 0 and (braces or brackets):
            self._braces, self._brackets = braces, brackets
            return Verdict.MORE, end
        return Verdict.DONE, self._last_closer(data, pos, end)

    def _last_closer(self, data: bytes, pos: int, end: int) -> int:
        """Where the value ends in data[pos:end], known to close it and to open nothing: found by halving."""
        while end - pos > 1:
            middle = (pos + end) // 2
            braces = self._braces - data.count(b"}", pos, middle)
            brackets = self._brackets - data.count(b"]", pos, middle)
            if braces < 0 or brackets < 0 or not (braces or brackets):
                end = middle
            else:
                self._braces, self._brackets, pos = braces, brackets, middle
        return end

    def _ended(self) -> Verdict:
        return Verdict.MORE if self._braces or self._brackets else Verdict.DONE


def _string_end(data: bytes, pos: int, stop: int, quote: int) -> int:
    """Where an open string is over, or goes on with what only the next bytes explain."""
    pattern = _IN_STRING[quote]
    near = min(stop, pos + _LONG)
    match = pattern.match(data, pos, near)
    pos = match.end() if match else pos
    if pos < near or near == stop:
        return pos
    match = pattern.match(data, _plain_end(data, pos, stop, quote), stop)
    return match.end() if match else pos


def _plain_end(data: bytes, pos: int, stop: int, quote: int) -> int:
    """Where an open string's quote or next escape is, if nothing before it breaks the string; else `pos`."""
    end = data.find(quote, pos, stop)
    end = stop if end < 0 else end
    escape = data.find(_BACKSLASH, pos, end)
    end = end if escape < 0 else escape
    return end if _is_string_text(memoryview(data)[pos:end]) else pos


def _is_string_text(text: memoryview) -> bool:
    """Whether nothing in it breaks a string; it has no escapes."""
    try:
        # For most text twice as fast as the exact answer. What is no UTF-8, 0xFF above all, is refused here.
        _decode_text(b"".join((b'"', text, b'"')))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return not bytes(text).translate(None, delete=_STRING_BYTES)
    return True


def has_more_tokens_than(limit: int, text: bytes | bytearray) -> bool:
    """Whether a value, or the beginning of one, has more than `limit` lexical tokens.

    The count of a beginning is never above that of the whole, so a value over the limit is refused the same
    in whatever pieces it came.
    """
    if len(text) <= limit or 2 * len(text.translate(None, delete=_NO_TOKEN_EDGES)) < limit:
        return False  # a token starts at an edge or right after one
    count = pos = 0
    while count <= limit and (match := _MANY_TOKENS.match(text, pos)):
        count, pos = count + _STRIDE, match.end()
    rest = islice(_TOKEN_OR_END.finditer(text, pos), _STRIDE)
    return count + sum(1 for match in rest if match[1] is None) > limit
