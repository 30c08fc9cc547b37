"""What is raised where only the loop would hear of it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class FaultsGoTo:
    """Hands what is raised in the block to whoever awaits a future: the caller is the loop, and could only log it."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or self._future.done():
            return False
        self._future.set_exception(error)
        return True
