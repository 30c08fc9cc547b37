"""One connection for all who need it: opened by the first, closed after the last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import anyio


class Closable(Protocol):
    """A connection."""

    @property
    def lost_reason(self) -> str | None:
        """Why it ended; None while it is there."""

    def close(self) -> None:
        """Close it."""


Connection = TypeVar("Connection", bound=Closable)


class _Lent(Generic[Connection]):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.users = 0


class Shared(Generic[Connection]):
    """The connection, while somebody uses it.

    Args:
        connect: makes one; raises DisplayError.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._lent: _Lent[Connection] | None = None
        self._opening = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Shared {self._lent.connection if self._lent else 'CLOSED'}>"

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Use it for as long as the block lasts; one that was lost is made anew for who comes after.

        Raises:
            DisplayError: it cannot be made.
        """
        async with self._opening:
            lent = self._lent
            if lent is None or lent.connection.lost_reason is not None:
                lent = self._lent = _Lent(await self._connect())
            lent.users += 1
        try:
            yield lent.connection
        finally:
            lent.users -= 1
            if not lent.users:
                lent.connection.close()
                self._lent = None if self._lent is lent else self._lent
