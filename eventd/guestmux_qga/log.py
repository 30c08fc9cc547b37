"""Where messages go: stderr or a file, in qemu-ga's form."""

from __future__ import annotations

import logging
from typing import TextIO

from guestmux_qga.options import ConfigurationError, Options


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.level = record.levelname.lower()
        # A host's text in a message must not look like a line of its own.
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in super().format(record))


def configure_log(options: Options, stream: TextIO) -> None:
    """Send messages to a stream; only errors, unless `--verbose`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter("%(created).6f: %(level)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if options.verbose else logging.ERROR)


def open_logfile(path: str) -> TextIO:
    """Open a log file to append to.

    Raises:
        ConfigurationError: it cannot be opened.
    """
    try:
        return open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123 - kept open
    except OSError as error:
        raise ConfigurationError(f"unable to open specified log file: {error.strerror}") from error
