"""Whether file systems are frozen: known after a restart as well, and in force while it lasts."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from guestmux_session.errors import CommandError

STATE_NAME = "qga.state.isfrozen"
"""The file's name; qemu-ga's, so that either can take over from the other."""


class FreezeState:
    """The mark that file systems are frozen.

    While it is set nothing is logged and no module's byte code is written, since a write to a frozen file system
    does not come back before the thaw, which this process has to do.

    Args:
        path: the file that is there while it is set; on a file system that is never frozen, such as /run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writes_byte_code = not sys.dont_write_bytecode
        self._frozen = path.exists()
        if self._frozen:
            self._hush()

    def __bool__(self) -> bool:
        return self._frozen

    def __repr__(self) -> str:
        return f"<FreezeState {self.path} {'FROZEN' if self else 'THAWED'}>"

    def set(self) -> None:
        """Set the mark.

        Raises:
            CommandError: the file cannot be made. Without it a restart would leave the file systems frozen.
        """
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise CommandError(f"failed to create '{self.path}': {error.strerror}") from error
        self._frozen = True
        self._hush()

    def unset(self) -> None:
        """Take the mark away.

        Raises:
            CommandError: the file stays, so that a restart would take the file systems for frozen.
        """
        self._frozen = False
        logging.disable(logging.NOTSET)
        sys.dont_write_bytecode = not self._writes_byte_code
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(f"failed to remove '{self.path}': {error.strerror}") from error

    def _hush(self) -> None:
        logging.disable(logging.CRITICAL)
        sys.dont_write_bytecode = True
