"""Where a daemon's log goes: to the journal with fields when systemd started it, else to stderr."""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
from typing import TextIO

JOURNAL_SOCKET = "/run/systemd/journal/socket"
MAX_FIELD = 8 * 1024
"""Characters of one field: an entry stays below the socket's send buffer, so that no memfd is needed."""

FIELD_PREFIX = "guestmux_"
"""Members of a record's `extra` that become fields of the journal's entry: `guestmux_port` is GUESTMUX_PORT."""

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def configure_logging(level: str, *, stream: TextIO | None = None) -> None:
    """Set up the root logger of a daemon.

    Args:
        level: debug, info, warning or error.
        stream: where text goes when there is no journal; stderr by default.
    """
    stream = stream or sys.stderr
    handler: logging.Handler
    if _is_journal(stream):
        handler = JournalHandler()
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_OneLine("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class JournalHandler(logging.Handler):
    """Writes entries with fields in the journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        super().__init__()
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry; a journal that does not take it loses it, as it would a line on stderr."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        fields = {
            "MESSAGE": message,
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": os.path.basename(sys.argv[0]),  # noqa: PTH119 - a name, not a path
            "LOGGER": record.name,
        }
        fields.update(_own_fields(record))
        data = b"".join(_field(name, value[:MAX_FIELD]) for name, value in fields.items())
        try:
            self._socket.sendto(data, socket.MSG_DONTWAIT, self._path)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop the entry: there is nowhere left to say so."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


class _OneLine(logging.Formatter):
    """Untrusted text in a message must not look like a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _own_fields(record: logging.LogRecord) -> dict[str, str]:
    return {name.upper(): str(value) for name, value in vars(record).items() if name.startswith(FIELD_PREFIX)}


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream is the one that systemd connected to the journal (JOURNAL_STREAM in systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
