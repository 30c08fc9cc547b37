"""Calls that we made and whose answers are awaited: each ends by its answer, its deadline, or the bus's end.

In both libraries a call has no deadline and one that was given up leaves its handler; dbus-next's never ends
once the bus is gone.
"""

import asyncio
import logging
from dataclasses import dataclass

from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.bus_message import ERROR, Message
from guestmux_transport.bus_slots import Slots
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import BusLost, CallError, CallTimeout, TooLarge
from guestmux_transport.names import DBUS_NAME, is_unique

logger = logging.getLogger(__name__)

# Longest error text that is taken over from another process, in characters.
MAX_ERROR_TEXT = 4096


@dataclass(slots=True)
class _Pending:
    """A call that the bus has open; `future` is None once nobody waits and only its slot is accounted for."""

    destination: str
    future: asyncio.Future[Message] | None


class PendingCalls:
    """The table of open calls, by serial."""

    def __init__(self, limits: BusLimits) -> None:
        self.slots = Slots(limits)
        self._pending: dict[int, _Pending] = {}
        self._lost: str | None = None

    def __len__(self) -> int:
        return len(self._pending)

    async def take_slot(self, destination: str, timeout: float) -> None:
        """Wait for a slot of the destination; the bus itself needs none.

        Raises:
            CallTimeout: none came free within `timeout` seconds; nothing was sent.
            BusLost: the connection is gone.
            QueueFull: too many calls wait already.
        """
        if destination == DBUS_NAME or self.slots.take_now(destination):
            return
        try:
            async with asyncio.timeout(timeout):
                await self.slots.take(destination)
        except TimeoutError as error:
            held = self.slots.held(destination)
            raise CallTimeout(
                f"no call to {destination} could be made within {timeout:g} s: {held} before it are unanswered"
            ) from error
        if self._lost is not None:
            self.give_back(destination)
            raise BusLost(self._lost)

    def give_back(self, destination: str, *, overdue: bool = False) -> None:
        """Give back the slot of a call that is no longer open, or was not made."""
        if destination != DBUS_NAME:
            self.slots.release(destination, overdue=overdue)

    async def wait(self, serial: int, destination: str, timeout: float, ends: float) -> Message:
        """Wait for the answer to a call that was just sent with a slot.

        Args:
            serial: the call's.
            destination: whom it was sent to.
            timeout: seconds that the call was given, for the error's text.
            ends: when they are over, on the loop's clock.

        Raises:
            CallTimeout: no answer in time; a late one will be dropped.
            CallError: the answer is an error.
            TooLarge: the answer is over the size limit.
            BusLost: the connection ended.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()
        self._pending[serial] = _Pending(destination, future)
        deadline = loop.call_at(ends, _expire, future, destination, timeout)
        try:
            reply = await future
        except asyncio.CancelledError:
            _drop_unseen_reply(future)
            raise
        finally:
            deadline.cancel()
            self._stop_waiting(serial)
        if reply.kind == ERROR:
            close_fds(reply.fds)
            raise _call_error(reply)
        return reply

    def answer(self, reply: Message, *, oversized: bool = False) -> None:
        """Take an answer from the bus; one that nobody waits for, or not from whom was asked, is dropped."""
        pending = self._pending.get(reply.reply_serial)
        if pending is None or not _may_answer(reply.sender, pending.destination):
            close_fds(reply.fds)
            logger.debug("dropped an answer that nobody waits for: %r", reply)
            return
        del self._pending[reply.reply_serial]
        future = pending.future
        self.give_back(pending.destination, overdue=future is None)
        if future is None or future.done():
            close_fds(reply.fds)
        elif oversized:
            close_fds(reply.fds)
            future.set_exception(TooLarge(f"the answer from {pending.destination} is over the size limit"))
        else:
            future.set_result(reply)

    def lose(self, reason: str) -> None:
        """End every call: the connection is gone."""
        self._lost = reason
        pending, self._pending = self._pending, {}
        for call in pending.values():
            if call.future is not None and not call.future.done():
                call.future.set_exception(BusLost(f"{reason}; the call may or may not have been carried out"))
            self.give_back(call.destination, overdue=call.future is None)

    def _stop_waiting(self, serial: int) -> None:
        """Keep only the slot of a call that ended here but not at the bus."""
        pending = self._pending.get(serial)
        if pending is None:
            return
        if pending.destination == DBUS_NAME:
            del self._pending[serial]
            return
        pending.future = None
        self.slots.overdue(pending.destination)


def _may_answer(sender: str | None, destination: str) -> bool:
    """Whether an answer can be the destination's own.

    Where we called a well-known name, the system bus itself lets nobody else answer; a session bus is one user's.
    """
    return sender in {destination, DBUS_NAME} or not is_unique(destination)


def _expire(future: asyncio.Future[Message], destination: str, timeout: float) -> None:
    if not future.done():
        future.set_exception(
            CallTimeout(f"{destination} did not answer within {timeout:g} s; it may or may not have done it")
        )


def _drop_unseen_reply(future: asyncio.Future[Message]) -> None:
    """Free what an answer brought that came together with the cancellation of who waited for it."""
    if future.done() and not future.cancelled() and future.exception() is None:
        close_fds(future.result().fds)


def _call_error(reply: Message) -> CallError:
    text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
    return CallError(reply.error_name or "", text[:MAX_ERROR_TEXT])
