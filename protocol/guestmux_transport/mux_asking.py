"""A question on a mux connection, from when somebody wants to ask it until its answer is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from guestmux_protocol.errors import GuestmuxError, RemoteError
from guestmux_protocol.mux import Error, Reply
from guestmux_transport.mux_errors import MuxRefused
from guestmux_transport.mux_stream import MuxStream


class Asking:
    """A call or an open, from when it was wanted until it is answered."""

    __slots__ = ("ask", "convert", "future", "number")

    def __init__(self, ask: Callable[[], int], convert: Callable[[Reply], Any]) -> None:
        self.ask = ask
        self.convert = convert
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.number = 0

    def settle(self, answer: Reply | Error) -> None:
        """Give the caller its answer."""
        if self.future.done():
            return
        if isinstance(answer, Error):
            self.future.set_exception(MuxRefused(answer.error_class, answer.desc))
            return
        try:
            self.future.set_result(self.convert(answer))
        except (GuestmuxError, RemoteError) as error:
            self.future.set_exception(error)

    def fail(self, error: Exception) -> None:
        """There is no answer."""
        if not self.future.done():
            self.future.set_exception(error)

    def opened(self) -> MuxStream | None:
        """The stream that nobody took, as the caller was cancelled when it came."""
        if self.future.cancelled() or not self.future.done() or self.future.exception() is not None:
            return None
        result = self.future.result()
        return result if isinstance(result, MuxStream) else None
