"""Cuts a byte stream into JSON values, by value and not by line.

`qemu.qmp` sends requests with no newline, and Proxmox two in one write. What QEMU answers with a cascade of
errors is one error here: after it, the rest of the faulty line or value is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from guestmux_protocol.errors import FramingError
from guestmux_protocol.json_exact import STRAY_BYTES, stray
from guestmux_protocol.json_structure import OBJECT_PATTERN, SHALLOW, Structure, Verdict, has_more_tokens_than
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from guestmux_protocol.pieces import Pieces

_SEPARATORS = re.compile(rb"[\t\n\r \xff]*+")
# Matches anything: an object as group 1, or all the rest.
_WHOLE_OBJECTS = re.compile(rb"(?s:[\t\n\r \xff]*+(?:(" + OBJECT_PATTERN + rb")|.*+))")
_KEYWORD = re.compile(rb"[a-z]*+")
_NUMBER = re.compile(rb"[-+.0-9Ee]*+")
# Garbage ends where a fresh value may begin: at a line's end, a reset byte or a container.
_GARBAGE = re.compile(rb"[\x00-\x09\x0b\x0c\x0e-Z\\-z|-\xfe]*+")
_RESET = 0xFF

_Item = bytes | FramingError


class JsonFramer:
    """One direction of one connection; memory stays within `limits.message_bytes` plus the chunk given.

    Args:
        limits: over one of them a value is skipped to its end, with one error.
    """

    __slots__ = (
        "_advance",
        "_fast_bytes",
        "_items",
        "_kept",
        "_limits",
        "_mark",
        "_recount_at",
        "_scalar",
        "_structure",
    )

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        # In a chunk of this size no shallow object can be over a limit.
        self._fast_bytes = min(limits.message_bytes, limits.tokens) if limits.nesting > SHALLOW else 0
        self._items: list[_Item] = []
        self.reset()

    def __repr__(self) -> str:
        return f"<JsonFramer {self._advance.__name__.strip('_')} buffered={self.buffered}>"

    @property
    def buffered(self) -> int:
        """Bytes kept of a value half received."""
        return len(self._kept)

    def reset(self) -> None:
        """Forget what was half received, as when another host connects."""
        self._kept = Pieces()
        self._structure = Structure(self._limits.nesting)
        self._advance: Callable[[bytes, int], int] = self._between
        self._scalar = _KEYWORD
        self._mark = 0
        self._recount_at = 2 * self._limits.tokens

    def feed(self, data: bytes) -> list[bytes | FramingError]:
        """Take the next bytes of the stream.

        Args:
            data: any number of bytes, cut anywhere.

        Returns:
            the values that ended in them, each as text for `json_text.decode`, and an error for each fault.
        """
        pos = self._mark = 0
        end = len(data)
        while pos < end:
            pos = self._advance(data, pos)
        if self._advance == self._in_value or self._advance == self._in_scalar:
            self._keep(data)
        items, self._items = self._items, []
        return items

    def _keep(self, data: bytes) -> None:
        """Store the half-received value's part of this chunk; refuse it early if it has too many tokens."""
        self._kept.add(data[self._mark :])
        while len(self._kept) >= self._recount_at:
            # At the same places of the value, whatever chunks it comes in.
            beginning = self._kept.text()[: self._recount_at]
            self._recount_at *= 2
            if has_more_tokens_than(self._limits.tokens, beginning):
                self._skip_value("JSON token count limit exceeded")

    def _between(self, data: bytes, pos: int) -> int:
        """Outside any value: take whole objects, then see what begins here."""
        # A chunk in which nothing closes begins a large value, which would be looked through in vain.
        if len(data) <= self._fast_bytes and (pos or b"}" in data):
            matches = _WHOLE_OBJECTS.finditer(data, pos)
            while (match := next(matches))[1] is not None:
                self._items.append(match[1])
            pos = match.start()
        separators = _SEPARATORS.match(data, pos)
        pos = separators.end() if separators else pos
        return self._begin(data, pos) if pos < len(data) else pos

    def _begin(self, data: bytes, pos: int) -> int:
        byte = data[pos : pos + 1]
        self._mark = pos
        if byte in b"{[\"'":
            self._structure = Structure(self._limits.nesting)
            self._advance = self._in_value
            return pos
        if byte.islower() or byte.isdigit() or byte == b"-":
            self._scalar = _KEYWORD if byte.islower() else _NUMBER
            self._advance = self._in_scalar
            return pos
        self._refuse("JSON parse error, expecting value" if byte in b"]},:" else stray(byte))
        return pos + 1

    def _refuse(self, desc: str) -> None:
        """Report a fault, and pass over what follows it."""
        self._items.append(FramingError(desc))
        self._advance = self._in_garbage

    def _in_garbage(self, data: bytes, pos: int) -> int:
        match = _GARBAGE.match(data, pos)
        pos = match.end() if match else pos
        if pos < len(data):
            self._advance = self._between
        return pos

    def _in_scalar(self, data: bytes, pos: int) -> int:
        """A number or a keyword: no request, but the decoder has the words for it."""
        stop = self._stop(data)
        match = self._scalar.match(data, pos, stop)
        pos = match.end() if match else pos
        if pos < stop:
            self._emit(data, pos)
            self._advance = self._in_garbage
        elif stop < len(data):
            self._drop()
            self._refuse("JSON token size limit exceeded")
        return pos

    def _stop(self, data: bytes) -> int:
        """Where the value would pass the size limit, or the chunk's end."""
        return min(len(data), self._mark + self._limits.message_bytes - len(self._kept))

    def _in_value(self, data: bytes, pos: int) -> int:
        stop = self._stop(data)
        verdict, pos = self._structure.scan(data, pos, stop)
        if verdict is Verdict.DONE:
            self._finish(data, pos)
        elif verdict is Verdict.BROKEN:
            return self._break(data, pos)
        elif verdict is Verdict.DEEP:
            self._skip_value(self._first_fault(data, pos, "JSON nesting depth limit exceeded"))
        elif stop < len(data):
            self._skip_value(self._first_fault(data, pos, "JSON token size limit exceeded"))
        return pos

    def _finish(self, data: bytes, pos: int) -> None:
        self._advance = self._between
        self._emit(data, pos)
        value = self._items[-1]
        if isinstance(value, bytes) and has_more_tokens_than(self._limits.tokens, value):
            self._items[-1] = FramingError("JSON token count limit exceeded")

    def _emit(self, data: bytes, pos: int) -> None:
        part = data[self._mark : pos]
        if self._kept:
            self._kept.add(part)
            part = self._kept.text()
            self._drop()
        self._items.append(part)

    def _drop(self) -> None:
        self._kept = Pieces()
        self._recount_at = 2 * self._limits.tokens

    def _first_fault(self, data: bytes, pos: int, desc: str) -> str:
        """The limit that the value passed first, whatever chunks it came in."""
        text = self._kept.text() + data[self._mark : pos]
        return "JSON token count limit exceeded" if has_more_tokens_than(self._limits.tokens, text) else desc

    def _break(self, data: bytes, pos: int) -> int:
        """A reset byte in a value: report what was half received. Only 0xFF promises a fresh value."""
        self._refuse(self._first_fault(data, pos, stray(self._stray_token(data, pos))))
        self._drop()
        return self._after_break(data, pos)

    def _after_break(self, data: bytes, pos: int) -> int:
        self._advance = self._between if data[pos] == _RESET else self._in_garbage
        return pos + 1

    def _stray_token(self, data: bytes, pos: int) -> bytes:
        """The open string, or just the byte at `pos`, as far as an error shows it."""
        if not self._structure.in_string:
            return data[pos : pos + 1]
        at = self._structure.string_at
        kept = self._kept.text()[at : at + STRAY_BYTES]
        fresh = self._mark + max(at - len(self._kept), 0)
        return kept + data[fresh : pos + 1][:STRAY_BYTES]

    def _skip_value(self, desc: str) -> None:
        """Report a value over a limit; its structure is still followed, its text no longer kept."""
        self._refuse(desc)
        self._drop()
        self._structure.allow_any_depth()
        self._advance = self._in_skipped

    def _in_skipped(self, data: bytes, pos: int) -> int:
        verdict, pos = self._structure.scan(data, pos, len(data))
        if verdict is Verdict.BROKEN:
            return self._after_break(data, pos)
        if verdict is Verdict.DONE:
            self._advance = self._between
        return pos
