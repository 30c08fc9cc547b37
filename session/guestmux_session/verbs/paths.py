"""Paths as hosts give them and as errors show them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import UNSET, UnsetType

from guestmux_protocol.errors import MAX_SHOWN
from guestmux_session.errors import CommandError
from guestmux_session.verbs.base64_text import decoded, encoded


def asked_path(text: str | UnsetType, in_base64: str | UnsetType, name: str = "path") -> bytes:
    """The path that a host means.

    Args:
        text: the argument `name`.
        in_base64: the argument `name`-b64, which may stand in its place.
        name: for errors.

    Raises:
        CommandError: neither is given, or both; or it cannot be decoded.
    """
    if text is UNSET and in_base64 is UNSET:
        raise CommandError(f"Parameter '{name}' is missing")
    if in_base64 is UNSET:
        return _encoded(str(text), name)
    if text is not UNSET:
        raise CommandError(f"Parameters '{name}' and '{name}-b64' exclude each other")
    return decoded(in_base64)


def in_members(path: bytes, name: str) -> dict[str, str]:
    """A path as a member of a result: `name`, or `name`_b64 where it is no UTF-8."""
    try:
        return {name: path.decode()}
    except UnicodeDecodeError:
        return {f"{name}_b64": encoded(path)}


def shown(path: bytes) -> str:
    """A path for an error's text."""
    return path[: MAX_SHOWN * 4].decode(errors="backslashreplace")[:MAX_SHOWN]


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the system says into CommandError, `what` before it."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{what}: {os.strerror(error.errno or 0)}") from error
    except ValueError as error:
        # A NUL in a path: no file has such a name.
        raise CommandError(f"{what}: {os.strerror(errno.ENOENT)}") from error


def _encoded(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CommandError(f"Parameter '{name}' is half a character; '{name}-b64' takes any bytes") from error
