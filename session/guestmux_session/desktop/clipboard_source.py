"""What a source of clipboards is, and how long the programs behind it may take."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_formats import Content, Offered
from guestmux_session.desktop.errors import DisplayError
from guestmux_session.pulse import Pulse

ANSWER_SECONDS = 5.0
"""Seconds for a program to give the next piece of its content: it may have to make a picture of a document first."""

WHOLE_SECONDS = 60.0
"""Seconds of waiting for one content altogether: a program that gives a byte now and then holds nobody up for ever."""

SELECTIONS: tuple[Selection, ...] = ("clipboard", "primary")


class OwnerFailed(DisplayError):
    """The program that has the content does not give it."""


class NotOffered(DisplayError):
    """There is no content in that format."""


class Held(Protocol):
    """A content that the agent has put into a clipboard."""

    @property
    def alive(self) -> bool:
        """Whether it is still what is there."""

    async def wait_over(self) -> None:
        """Wait until another has taken its place, or the connection has ended."""

    def release(self) -> None:
        """Have it no more."""


class ClipboardSource(Protocol):
    """A display server's clipboards.

    Attributes:
        name: as session-get-info shows it.
    """

    name: str

    async def offered(self, selection: Selection) -> Offered:
        """In which formats there is a content. Raises DisplayError."""

    def read(self, selection: Selection, name: str) -> AsyncGenerator[bytes, None]:
        """The content under one of its names, piece by piece. Raises DisplayError; NotOffered before anything came."""

    async def hold(self, selection: Selection, content: Content) -> Held:
        """Put a content in, and give it to programs until another takes its place. Raises DisplayError."""

    async def clear(self, selection: Selection) -> None:
        """Leave it empty. Raises DisplayError."""

    async def follow(self, changed: Callable[[Selection], None]) -> None:
        """Tell of each change from now on, until it ends by DisplayLost."""


class Ending(Protocol):
    """A connection that may end."""

    lost_reason: str | None

    async def wait_lost(self) -> None:
        """Wait until it has ended."""


class Patience:
    """How long one content is waited for."""

    def __init__(self) -> None:
        self._left = WHOLE_SECONDS

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Wait for the program in this block.

        Raises:
            OwnerFailed: it took too long.
        """
        began = anyio.current_time()
        with anyio.move_on_after(min(ANSWER_SECONDS, self._left)) as scope:
            yield
        self._left -= anyio.current_time() - began
        if scope.cancelled_caught:
            raise OwnerFailed("the program that has the content does not answer")


async def wait_until(condition: Callable[[], bool], changed: Pulse, on: Ending) -> None:
    """Wait until something is so, or the connection has ended.

    Args:
        condition: whether it is.
        changed: beaten when it may be.
        on: the connection.
    """
    if condition():
        return
    async with anyio.create_task_group() as group:

        async def until_lost() -> None:
            await on.wait_lost()
            group.cancel_scope.cancel()

        group.start_soon(until_lost)
        while not condition():
            await changed.wait()
        group.cancel_scope.cancel()
