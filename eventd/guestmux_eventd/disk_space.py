"""How full a file system is, asked in a thread: one that is frozen or whose server is gone answers late, or never."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio

ANSWER_SECONDS = 5.0
"""For one path. A file system answers from memory; one that does not in this time is asked no more until it has."""

HIDDEN = "eventd may not look there; is it behind ProtectHome= of guestmux-eventd.service? See eventd.toml(5)"


class DiskSpace(NamedTuple):
    """What statvfs(3) says, in bytes.

    Attributes:
        total: of the file system.
        used: of these.
        available: what is left for anybody but root.
    """

    total: int
    used: int
    available: int

    @property
    def percent(self) -> int:
        """How much of what anybody may use is used, as df(1) has it: rounded up."""
        usable = self.used + self.available
        return -(-100 * self.used // usable) if usable else 0


def disk_space(path: str) -> DiskSpace:
    """The space of the file system that a path is on. Blocks as long as that takes to answer.

    Raises:
        OSError: there is no such path, or it cannot be seen.
    """
    try:
        mode = Path(path).stat().st_mode
        found = os.statvfs(path)
    except PermissionError as error:
        raise OSError(errno.EACCES, HIDDEN) from error
    if stat.S_IMODE(mode) == 0:
        # What systemd puts over a path to hide it is on a file system as well, its own (make_inaccessible_nodes).
        raise OSError(errno.EACCES, HIDDEN)
    used, size = found.f_blocks - found.f_bfree, found.f_frsize
    return DiskSpace(found.f_blocks * size, used * size, found.f_bavail * size)


class DiskProbe:
    """Asks for the space of one path, never twice at once.

    Args:
        path: which.
        ask: gives the space; may block for ever.
    """

    def __init__(self, path: str, ask: Callable[[str], DiskSpace] = disk_space) -> None:
        self.path = path
        self._ask = ask
        self._under_way: Future[DiskSpace] | None = None

    def __repr__(self) -> str:
        return f"<DiskProbe {self.path} {'ASKED' if self._under_way else 'IDLE'}>"

    async def look(self) -> DiskSpace:
        """The space now, or what the question of last time has come to meanwhile.

        Raises:
            OSError: it cannot be had; TimeoutError where there was no answer within ANSWER_SECONDS.
        """
        if self._under_way is None:
            self._under_way = self._begin()
        answer = self._under_way
        with anyio.move_on_after(ANSWER_SECONDS):
            await _done(answer)
        if not answer.done():
            raise TimeoutError(errno.ETIMEDOUT, "it does not answer")
        self._under_way = None
        return answer.result()

    def _begin(self) -> Future[DiskSpace]:
        answer: Future[DiskSpace] = Future()

        def work() -> None:
            try:
                answer.set_result(self._ask(self.path))
            except OSError as error:
                answer.set_exception(error)

        # A thread of its own that nobody waits for: it may hang in the kernel when eventd ends, too.
        threading.Thread(target=work, name=f"statvfs {self.path}", daemon=True).start()
        return answer


async def _done(answer: Future[DiskSpace]) -> None:
    done, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell(_answer: object) -> None:
        # Nobody waits any more when the loop has been closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    answer.add_done_callback(tell)
    await done.wait()
