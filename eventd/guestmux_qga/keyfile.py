"""GLib's key files, as far as qemu-ga's configuration needs them (docs.gtk.org/glib/struct.KeyFile.html)."""

from __future__ import annotations

import re

from guestmux_protocol.errors import GuestmuxError

_GROUP = re.compile(r"\[([^\[\]\x00-\x1f\x7f]+)\]\s*")
_PAIR = re.compile(r"([^=\[\]]*[^=\[\]\s])\s*=\s*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class KeyFileError(GuestmuxError):
    """Text that is no key file, or a value of another type. The message says where."""


def read_key_file(text: str) -> dict[str, dict[str, str]]:
    """Split a key file into groups of raw values; the last value of a key counts.

    Raises:
        KeyFileError: a line is neither a comment, a group nor a pair, or stands before the first group.
    """
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        if match := _GROUP.fullmatch(line):
            group = groups.setdefault(match[1], {})
        elif not (match := _PAIR.fullmatch(line)):
            raise KeyFileError(f"line {number} is no key-value pair, group, or comment")
        elif group is None:
            raise KeyFileError(f"line {number} stands before the first group")
        else:
            group[match[1]] = match[2]
    return groups


def as_string(raw: str) -> str:
    """A value as text.

    Raises:
        KeyFileError: an escape is unknown.
    """
    return _ESCAPE.sub(_unescape, raw)


def as_boolean(raw: str) -> bool:
    """A value as truth.

    Raises:
        KeyFileError: it is neither true, false, 1 nor 0.
    """
    try:
        return _BOOLEANS[raw.rstrip()]
    except KeyError:
        raise KeyFileError(f"'{raw}' cannot be interpreted as a boolean") from None


def write_group(name: str, values: dict[str, str | bool]) -> str:
    """One group with its pairs, as g_key_file_to_data writes it."""
    return "".join([f"[{name}]\n", *(f"{key}={_raw(value)}\n" for key, value in values.items())])


def _raw(value: str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    stripped = text.lstrip(" \t")
    leading = text[: len(text) - len(stripped)]
    return leading.replace(" ", "\\s").replace("\t", "\\t") + stripped


def _unescape(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match[1]]
    except KeyError:
        raise KeyFileError(f"'{match[0]}' is no escape; \\s \\n \\t \\r \\\\ are") from None
