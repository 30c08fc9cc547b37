"""Says how things stand, once for each change: a log line, and whoever else wants to know."""

from __future__ import annotations

import logging
from collections.abc import Callable


class News:
    """The state of one thing in words.

    Args:
        logger: where a change is logged.
        what: the thing; every line begins with it.
        listener: is given each change too.
    """

    def __init__(
        self, logger: logging.Logger, what: str, listener: Callable[[str], None] | None = None
    ) -> None:
        self._logger = logger
        self._what = what
        self.listener = listener
        self._last = ""

    def tell(self, text: str, level: int = logging.INFO) -> None:
        """Say it, unless it was the last thing said."""
        if text == self._last:
            return
        self._last = text
        self._logger.log(level, "%s: %s", self._what, text)
        if self.listener is not None:
            self.listener(text)
