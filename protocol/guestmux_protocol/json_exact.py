"""Decodes JSON by QEMU's own rules, slowly: for texts that the fast decoder refuses or is not sure of.

The tokens are those of QEMU's json-lexer.c, the order of the checks and the words are json-parser.c's.
Deliberate differences: `0e1` and Unicode's noncharacters are accepted, being JSON, and a number beyond a
double is refused, where QEMU answers with an infinity. Nothing recurses, so any nesting is decoded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from guestmux_protocol.errors import JsonError

INT64_MIN = -(1 << 63)
UINT64_MAX = (1 << 64) - 1
_INT_LENGTH = len(str(INT64_MIN))

STRAY_BYTES = 100
"""Bytes of a faulty token that an error shows; a token can be 64 MiB long."""

_INTEGER = rb"-?+(?:0|[1-9][0-9]*+)"
_TOKEN = re.compile(
    rb"[\t\n\r ]*+(?:"
    rb"(?P<punctuation>[{}\[\],:])"
    rb"|(?P<string>\"(?:[ !#-\[\]-\xfd]++|\\[ -\xfd])*+\"|'(?:[ -&(-\[\]-\xfd]++|\\[ -\xfd])*+')"
    rb"|(?P<keyword>[a-z]++)"
    # A number that goes wrong, up to the byte where it does; before <number>, which would take its beginning.
    rb"|(?P<broken>-(?![0-9])|-?0(?=[0-9])|" + _INTEGER + rb"(?:\.(?![0-9])"
    rb"|(?:\.[0-9]++)?+[Ee](?:[-+](?![0-9])|(?![-+0-9]))))"
    rb"|(?P<number>" + _INTEGER + rb"(?:\.[0-9]++)?+(?:[Ee][-+]?+[0-9]++)?+)"
    rb"|(?P<open>\"(?:[ !#-\[\]-\xfd]++|\\[ -\xfd])*+\\?+|'(?:[ -&(-\[\]-\xfd]++|\\[ -\xfd])*+\\?+)"
    rb"|(?P<stray>(?s:.))"
    rb"|\Z)"
)
_ESCAPE = re.compile(
    rb"\\(?:u([dD][89ABab][0-9A-Fa-f]{2})\\u([dD][C-Fc-f][0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(?s:.))"
)
_SIMPLE_ESCAPES = {
    rb"\"": '"', rb"\'": "'", rb"\\": "\\", rb"\/": "/",
    rb"\b": "\b", rb"\f": "\f", rb"\n": "\n", rb"\r": "\r", rb"\t": "\t",
}  # fmt: skip
_KEYWORDS = {b"true": True, b"false": False, b"null": None}

_Token = tuple[str, bytes]


def decode_exactly(text: bytes) -> Any:
    """The value of one JSON text, or QEMU's words for what is wrong with it.

    Raises:
        JsonError: the text is no JSON value.
    """
    # In QEMU the parser runs once the lexer has seen the whole value: a stray byte is reported first.
    for _ in _tokens(text):
        pass
    return _parse(_tokens(text))


def stray(token: bytes) -> str:
    """QEMU's text for bytes that are no token; as there, it ends at a NUL.

    Args:
        token: the faulty token up to its offending byte; `STRAY_BYTES` of it are shown.
    """
    shown = token[:STRAY_BYTES].partition(b"\0")[0].decode("utf-8", "replace")
    return f"JSON parse error, stray '{shown}'"


def _tokens(text: bytes) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "stray":
            raise JsonError(stray(match[kind]))
        if kind == "broken" or kind == "open":
            raise JsonError(stray(match[kind] + text[match.end() : match.end() + 1]))
        if kind is not None:  # else nothing but white space was left
            yield kind, match[kind]


def _parse(tokens: Iterator[_Token]) -> Any:
    document = _Document()
    stack: list[_Container] = [document]
    for kind, token in tokens:
        top = stack[-1]
        if token in (b"{", b"[") and top.wants_value:
            stack.append(_Object() if token == b"{" else _Array())
        elif kind != "punctuation" and top.wants_value:
            top.add(_literal(kind, token))
        elif top.punctuate(token):
            stack.pop()
            stack[-1].add(top.value)
    if len(stack) > 1 or document.wants_value:
        raise _parse_error("premature end of input")
    return document.value


def _parse_error(text: str) -> JsonError:
    return JsonError(f"JSON parse error, {text}")


class _Container:
    """A value whose parts are still coming."""

    value: Any = None
    wants_value = True

    def add(self, value: Any) -> None:
        """Take the next part."""
        self.value = value
        self.wants_value = False

    def punctuate(self, token: bytes) -> bool:
        """Take what is no part; whether it closes the container."""
        raise _parse_error("expecting value" if self.wants_value else "expecting end of input")


class _Document(_Container):
    """The text itself, which has one part."""


class _Array(_Container):
    def __init__(self) -> None:
        self.value: list[Any] = []

    def add(self, value: Any) -> None:
        self.value.append(value)
        self.wants_value = False

    def punctuate(self, token: bytes) -> bool:
        if token == b"]" and not (self.value and self.wants_value):
            return True
        if self.wants_value:
            raise _parse_error("expecting value")
        if token != b",":
            raise _parse_error("expected separator in list")
        self.wants_value = True
        return False


class _Object(_Container):
    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self._key: str | None = None

    def add(self, value: Any) -> None:
        self.wants_value = False
        if self._key is None:
            if not isinstance(value, str):
                raise _parse_error("key is not a string in object")
            self._key = value
            return
        if self._key in self.value:
            raise _parse_error("duplicate key")
        self.value[self._key] = value
        self._key = None

    def punctuate(self, token: bytes) -> bool:
        if self.wants_value:
            if token == b"}" and self._key is None and not self.value:
                return True
            raise _parse_error("expecting value")
        if self._key is None and token == b"}":
            return True
        if token != (b"," if self._key is None else b":"):
            raise _parse_error(
                "expected separator in dict" if self._key is None else "missing : in object pair"
            )
        self.wants_value = True
        return False


def _literal(kind: str, token: bytes) -> Any:
    if kind == "string":
        return _string(token)
    if kind == "number":
        return _number(token)
    if token not in _KEYWORDS:
        shown = token[:STRAY_BYTES].decode()
        raise _parse_error(f"invalid keyword '{shown}'")
    return _KEYWORDS[token]


def _number(token: bytes) -> int | float:
    if len(token) <= _INT_LENGTH and token.lstrip(b"-").isdigit():
        number = int(token)
        if INT64_MIN <= number <= UINT64_MAX:
            return number
    value = float(token)
    if math.isinf(value):
        raise _parse_error("number out of range")
    return value


def _string(token: bytes) -> str:
    parts = []
    pos = 1
    for escape in _ESCAPE.finditer(token, 1, len(token) - 1):
        parts += [_utf8(token[pos : escape.start()]), _unescape(escape, token)]
        pos = escape.end()
    parts.append(_utf8(token[pos:-1]))
    return "".join(parts)


def _utf8(text: bytes) -> str:
    """Modified UTF-8: a NUL may also be two bytes."""
    try:
        return text.replace(b"\xc0\x80", b"\0").decode()
    except UnicodeDecodeError:
        raise _parse_error("invalid UTF-8 sequence in string") from None


def _unescape(escape: re.Match[bytes], token: bytes) -> str:
    high, low, unit = escape.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if unit and not 0xD800 <= int(unit, 16) <= 0xDFFF:
        return chr(int(unit, 16))
    if unit or escape[0] == rb"\u":
        start = escape.start()
        shown = token[start : start + len(r"\uXXXX")].decode("utf-8", "replace")
        raise _parse_error(f"{shown} is not a valid Unicode character")
    if escape[0] not in _SIMPLE_ESCAPES:
        raise _parse_error("invalid escape sequence in string")
    return _SIMPLE_ESCAPES[escape[0]]
