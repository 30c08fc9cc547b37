"""The clipboards of a session, for scripts without async."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from guestmux import guest as asynchronous
from guestmux.calls import ACTIVE
from guestmux_protocol.clipboard_commands import TEXT, ClipboardFormats, Selection

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ClipboardCalls(ABC):
    """Every method raises what the one of `guestmux.Guest` raises."""

    _guest: asynchronous.Guest

    @abstractmethod
    def _wait_for(
        self,
        function: Callable[Parameters, Awaitable[Result]],
        /,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run it and wait for its result."""

    def clipboard_formats(
        self,
        session: str = ACTIVE,
        *,
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> ClipboardFormats:
        """In which formats there is a content; see `guestmux.Guest.clipboard_formats`."""
        return self._wait_for(
            self._guest.clipboard_formats, session, selection=selection, wait=wait, timeout=timeout
        )

    def clipboard_get(
        self,
        session: str = ACTIVE,
        *,
        format: str = TEXT,  # noqa: A002 - the command's own word
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The content; text is UTF-8. See `guestmux.Guest.clipboard_get`."""
        return self._wait_for(
            self._guest.clipboard_get,
            session,
            format=format,
            selection=selection,
            wait=wait,
            timeout=timeout,
        )

    def clipboard_set(
        self,
        content: str | bytes,
        session: str = ACTIVE,
        *,
        format: str = TEXT,  # noqa: A002 - the command's own word
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Put a content in; see `guestmux.Guest.clipboard_set`."""
        self._wait_for(
            self._guest.clipboard_set,
            content,
            session,
            format=format,
            selection=selection,
            wait=wait,
            timeout=timeout,
        )

    def clipboard_clear(
        self,
        session: str = ACTIVE,
        *,
        selection: Selection = "clipboard",
        wait: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Empty it."""
        self._wait_for(self._guest.clipboard_clear, session, selection=selection, wait=wait, timeout=timeout)
