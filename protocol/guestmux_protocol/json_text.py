"""JSON text to Python values and back, with QEMU's rules, words and spacing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from json import encoder as json_encoder
from typing import Any

import msgspec

from guestmux_protocol.errors import JsonError
from guestmux_protocol.json_exact import INT64_MIN, UINT64_MAX, decode_exactly

__all__ = ["JsonError", "decode", "encode", "encode_guarded"]

SHORT = 1024
"""Characters of text up to which to count something is as fast as to look whether there is any."""

LONG = 16 * 1024
"""Characters of text from which on it pays to look how it is written best."""

FEW = 8
"""Colons to look for one by one: a long text with so few is mostly one string, such as file content."""

FIRST_STRINGS = 32
"""Strings among which to look for a long one; file content comes within the first ten."""

_decode_fast = msgspec.json.Decoder().decode
_STAND_IN = "-0.0e-0"
_ESCAPED_COLON = rb"\u003"
_ONLY_PAIRED_SURROGATES = re.compile(r"(?:[^\\]++|\\[^u]|\\u(?:[^d]...|d[0-7]..|d[89ab]..\\ud[c-f]..))*+")


def decode(value: bytes) -> Any:
    r"""The value of one JSON text.

    A whole number within int64 or uint64 is an int, any other number a float, as in QEMU. Single-quoted
    strings and the escape `\\'` are accepted, as there.

    Args:
        value: the text, as `JsonFramer` hands it out: it lets no byte pass that breaks a string, and long strings
            are not looked through for one again.

    Raises:
        JsonError: the text is no JSON value; `desc` is QEMU's text for the first fault in it.
    """
    try:
        decoded = _decode_long(value) if len(value) > LONG else _decode_fast(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decode_exactly(value)
    return decoded if _is_certain(decoded, value) else decode_exactly(value)


def _decode_long(text: bytes) -> Any:
    """A text that may be mostly one string, such as file content: twice as fast where only the rest is decoded."""
    long = _long_string(text)
    if long is not None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            return _decode_around(text, *long)
    return _decode_fast(text)


def _long_string(text: bytes) -> tuple[int, int] | None:
    """From where to where a long string goes, unless an escape comes before its end."""
    end = -1
    for _ in range(FIRST_STRINGS):
        begin = text.find(b'"', end + 1) + 1
        end = text.find(b'"', begin)
        if not 0 < begin <= end:
            return None
        if end - begin > LONG:
            return (begin, end) if text.find(b"\\", 0, end) < 0 else None
    return None


def _decode_around(text: bytes, begin: int, end: int) -> Any:
    """The value of a text in which the string from `begin` to `end` is nothing but its characters.

    In its place stands a number, which calls for the string when it is decoded.

    Raises:
        UnicodeDecodeError: the string is not ASCII.
        KeyError: there is another number that is no whole one.
        MsgspecError: the text is no JSON, or not the usual one.
    """
    characters = {_STAND_IN: str(memoryview(text)[begin:end], "ascii")}
    rest = b"".join((text[: begin - 1], _STAND_IN.encode(), text[end + 1 :]))
    return msgspec.json.Decoder(float_hook=characters.pop).decode(rest)


def _is_certain(decoded: Any, text: bytes) -> bool:
    """Whether msgspec saw what QEMU would: no member twice, of which it keeps the last, no int over 64 bits.

    Each member has one colon, so none came twice if those left, with the colons in strings, are as many as
    the text's. The colons of lost members only make the text's more.
    """
    if type(decoded) is str or (
        type(decoded) is dict and len(text) <= SHORT and _is_certainly_flat(decoded, text)
    ):
        return True
    members = 0
    containers: list[Any] = [[decoded]]
    for container in containers:  # grows as it is walked: recursion would end at Python's limit
        children = container
        if type(container) is dict:
            members += len(container)
            children = container.values()
        for child in children:
            kind = type(child)
            if kind is dict or kind is list:
                containers.append(child)
            elif kind is int and not INT64_MIN <= child <= UINT64_MAX:
                return False
    colons = _colons(text) - members
    return colons == 0 or (_ESCAPED_COLON not in text and colons == _colons_in_strings(containers))


def _is_certainly_flat(decoded: dict[str, Any], text: bytes) -> bool:
    """Whether it is as certain as what most are: members without members, and no colon in a string."""
    for child in decoded.values():
        kind = type(child)
        if kind is dict or kind is list or (kind is int and not INT64_MIN <= child <= UINT64_MAX):
            return False
    return text.count(b":") == len(decoded)


def _colons(text: bytes) -> int:
    """All colons: a few are found faster than counted, which looks at each byte."""
    if len(text) <= SHORT:
        return text.count(b":")
    count, pos = 0, text.find(b":")
    while pos >= 0 and count < FEW:
        count, pos = count + 1, text.find(b":", pos + 1)
    return count if pos < 0 else count + text.count(b":", pos)


def _colons_in_strings(containers: list[Any]) -> int:
    """The colons in the containers' own strings, member names included."""
    colons = 0
    for container in containers:
        children = container
        if type(container) is dict:
            colons += "".join(container).count(":")
            children = container.values()
        for child in children:
            if type(child) is str:
                colons += child.count(":")
    return colons


def encode(value: Any) -> bytes:
    """The JSON text of a value: ASCII, with a space after `:` and `,`, and no newline.

    Args:
        value: None, bool, int, float, str, and lists, tuples and dicts of them; keys become strings.

    Raises:
        JsonError: something else, NaN, an infinity, half a surrogate pair, or nesting of about a thousand.
    """
    if type(value) is dict:
        for member in value.values():
            if type(member) is str and len(member) > LONG:
                return _encode_members(value)
    try:
        text = _encode(value)
    except (TypeError, ValueError) as error:
        raise JsonError(f"the value has no JSON text: {error}") from None
    except RecursionError:
        raise JsonError("the value has no JSON text: it is nested too deeply") from None
    if "\\ud" in text and not _ONLY_PAIRED_SURROGATES.fullmatch(text):
        raise JsonError("the value has no JSON text: a string in it has half a surrogate pair")
    return text.encode()


def encode_guarded(value: Any) -> bytes:
    """As `encode`, for a device, whose next reader may get the rest of a text that was cut off within a string.

    Strings may have somebody else's content, a file's name say. QEMU's parsers take what is between apostrophes for a
    string as well, so with those it could be a command. Without them it has no strings, and no members.
    """
    return encode(value).replace(b"'", rb"\u0027")


def _encode_members(value: dict[Any, Any]) -> bytes:
    """An object with long text in it, such as file content: msgspec writes that some five times as fast."""
    parts: list[bytes] = []
    for name, member in value.items():
        written = msgspec.json.encode(member) if _is_long_and_plain(member) else encode(member)
        parts += (b", ", encode({name: 0})[1:-2], written)
    return b"".join((b"{", *parts[1:], b"}"))


def _is_long_and_plain(value: Any) -> bool:
    """Whether it is text that msgspec writes as we do: DEL and what is not ASCII it would leave as they are."""
    return type(value) is str and len(value) > LONG and value.isascii() and "\x7f" not in value


def _make_encode() -> Callable[[Any], str]:
    """CPython's encoder, built once; `JSONEncoder.encode` builds one for every call, at twice the cost."""
    encoder = json.JSONEncoder(allow_nan=False, check_circular=False)
    make = getattr(json_encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    chunks = make(
        markers=None,
        default=encoder.default,
        encoder=json_encoder.encode_basestring_ascii,
        indent=None,
        key_separator=": ",
        item_separator=", ",
        sort_keys=False,
        skipkeys=False,
        allow_nan=False,
    )
    return lambda value: "".join(chunks(value, 0))


_encode = _make_encode()
