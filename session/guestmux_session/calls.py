"""The calls that an agent is running: bounded in number, each with a deadline, each cancellable."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from guestmux_session.errors import CommandError
from guestmux_transport.deadlines import Deadlines

MAX_CALLS = 16
"""Calls that run at a time: as many as eventd has open to one agent (pending_per_destination in its bus limits)."""

MAX_DESC = 1000
"""Characters of an error's text: eventd passes on no more."""

MAX_STREAMS = 128
"""Streams at a time: each may have a window of 1 MiB under way that nobody has read yet."""

Work = Callable[[], Coroutine[Any, Any, Any]]

logger = logging.getLogger(__name__)


class TooManyCalls(CommandError):
    """Too many calls are running already."""


class Running:
    """A call under way.

    Args:
        name: the command.
        call_id: the caller's number for it.
        work: runs the method.
        ended: called when the method has really ended.
        deadlines: those of all calls.

    Attributes:
        reason: why nobody waits for its result any more; None while somebody does.
        task: where it runs.
        ends: its deadline, by the loop's clock.
    """

    ends: float

    def __init__(
        self,
        name: str,
        call_id: int | None,
        work: Work,
        ended: Callable[[Running], None],
        deadlines: Deadlines,
    ) -> None:
        self.name = name
        self.call_id = call_id
        self.reason: str | None = None
        self._ended = ended
        self._deadlines = deadlines
        self._seconds = 0.0
        self._is_over = False
        self._returned: list[Any] = []
        self._then: Callable[[], None] | None = None
        self.task = asyncio.get_running_loop().create_task(self._run(work))
        self.task.add_done_callback(self._close)

    def when_over(self, then: Callable[[], None], seconds: float | None) -> None:
        """Call `then` once: when the method ended, when the call is stopped, or after so many seconds."""
        if self._is_over:
            then()
            return
        self._then = then
        if seconds is not None:
            self._seconds = seconds
            self._deadlines.add(self, seconds)

    def untimed(self) -> None:
        """Let it run as long as it likes."""
        self._deadlines.drop(self)

    def expire(self) -> None:
        """It took too long."""
        self.stop(f"{self.name} took longer than its {self._seconds:g} s and was cancelled")

    def stop(self, reason: str) -> None:
        """Cancel it; the first reason counts."""
        if self.reason is None:
            self.reason = reason
            self._tell()
        self.task.cancel()

    def result(self) -> Any:
        """What the method returned; once it is over.

        Raises:
            CommandError: it failed, was stopped or was too slow; the text is for the host.
        """
        if self.reason is not None:
            raise CommandError(self.reason)
        return self._returned.pop() if self._returned else _raise(self.name, self.task)

    async def _run(self, work: Work) -> None:
        self._returned.append(await work())
        # Not by the task's end, which others hear of a turn of the loop later.
        self.task.remove_done_callback(self._close)
        self._ended(self)
        self._tell()

    def _close(self, task: asyncio.Task[None]) -> None:
        self._ended(self)
        self._tell()
        if self.reason is not None and not task.cancelled() and (error := task.exception()):
            logger.info("a call that was given up ended with %r", error)

    def _tell(self) -> None:
        self._is_over = True
        self.untimed()
        then, self._then = self._then, None
        if then is not None:
            then()


class CallTable:
    """Runs commands, each in a task of its own.

    A call that is cancelled is answered at once, but counts until its method has really ended.

    Args:
        limit: calls at a time.
        noun: what they are, for texts.
    """

    def __init__(self, limit: int = MAX_CALLS, noun: str = "calls") -> None:
        self._limit = limit
        self._noun = noun
        self._calls: set[Running] = set()
        self._deadlines = Deadlines()
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="command")

    def __repr__(self) -> str:
        return f"<CallTable {len(self._calls)} of {self._limit} {self._noun}>"

    def begin(self, name: str, work: Work, call_id: int | None) -> Running:
        """Begin a command, now: two calls that come together must not both find the last free place.

        Args:
            name: the command, for texts and the log.
            work: runs the method.
            call_id: what `cancel` will name it by.

        Raises:
            TooManyCalls: not before another ended.
            CommandError: a call of that number is running.
        """
        if len(self._calls) >= self._limit:
            raise TooManyCalls(
                f"{self._limit} {self._noun} are running in this agent; try again when one has ended"
            )
        if call_id is not None and any(call.call_id == call_id for call in self._calls):
            raise CommandError(f"a call with the id {call_id} is running")
        call = Running(name, call_id, work, self._calls.discard, self._deadlines)
        self._calls.add(call)
        return call

    async def finish(self, call: Running, seconds: float | None) -> Any:
        """Wait for a command's end, its deadline or its cancellation; gives its result.

        Args:
            call: from `begin`.
            seconds: its deadline; None for none.

        Raises:
            CommandError: it failed, was cancelled or was too slow; the text is for the host.
        """
        over = asyncio.Event()
        call.when_over(over.set, seconds)
        try:
            await over.wait()
        except asyncio.CancelledError:
            call.stop("nobody waits for it any more")
            raise
        return call.result()

    async def settle(self, seconds: float) -> None:
        """Wait until no call is running, for so many seconds at the most."""
        if self._calls:
            await asyncio.wait({call.task for call in self._calls}, timeout=seconds)

    def cancel(self, call_id: int) -> None:
        """Cancel a call; nothing when it has ended."""
        for call in tuple(self._calls):
            if call.call_id == call_id:
                call.stop("cancelled by the caller")

    def cancel_all(self, reason: str) -> None:
        """Cancel every call."""
        for call in tuple(self._calls):
            call.stop(reason)

    def close(self) -> None:
        """Cancel every call, for good. Threads that run a command end when it does."""
        self.cancel_all("the agent is stopping")
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        """Run a blocking method beside the loop."""
        context = contextvars.copy_context()
        result: list[Any] = []
        # Not by the executor's future: that is part of a cycle, which would keep a file's 64 MiB until it is collected.
        await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: result.append(context.run(work))
        )
        return result.pop()


def _raise(name: str, task: asyncio.Task[None]) -> NoReturn:
    """What a method raised is for the log, except for what its author meant the host to read."""
    if task.cancelled():
        raise CommandError(f"{name} was cancelled in the agent")
    error = task.exception()
    meant = _alone(error)
    if isinstance(meant, CommandError):
        raise CommandError(_one_line(meant.desc)) from error
    logger.error("internal error in %s", name, exc_info=error)
    raise CommandError(f"internal error in {name}; the agent's log says more") from error


def _alone(error: BaseException | None) -> BaseException | None:
    """The error itself where a task group wrapped it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_DESC] or "failed, and gave no reason"
