"""Answers the method calls of others: runs the handlers, bounds them, and lets no exception out.

In both libraries a handler is not told who calls and runs without bound; in dbus-next what it raises goes to the
caller as a traceback with paths of our source.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from guestmux_transport.bus_exports import Exports, IncomingCall, Method, Results, check_arguments
from guestmux_transport.bus_limits import BusLimits
from guestmux_transport.bus_message import ERROR, METHOD_RETURN, NO_REPLY_EXPECTED, Message
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.bus_standard import StandardInterfaces
from guestmux_transport.errors import BusLost, InvalidValue, MethodError, QueueFull, TooLarge
from guestmux_transport.names import ERROR_FAILED, ERROR_LIMIT_EXCEEDED, ERROR_TOO_LARGE

logger = logging.getLogger(__name__)


class Answers:
    """Answers calls from what is exported, through `send`."""

    def __init__(
        self,
        exports: Exports,
        standard: StandardInterfaces,
        limits: BusLimits,
        send: Callable[[Message], None],
    ) -> None:
        self._exports = exports
        self._standard = standard
        self._limits = limits
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, int] = {}

    @property
    def running(self) -> int:
        """How many handlers have not ended yet."""
        return len(self._tasks)

    def handle(self, message: Message, *, oversized: bool = False) -> None:
        """Run the handler a call is for, and answer now or when its task ends."""
        call = IncomingCall(
            sender=message.sender or "",
            path=message.path or "",
            interface=message.interface or "",
            member=message.member or "",
            body=list(message.body),
            fds=message.fds,
        )
        try:
            method = self._admit(message, oversized=oversized)
            results = method.handler(call)
            if isinstance(results, Awaitable):
                self._start(message, call, method, results)
                return
            self._return(message, call, method, results)
        except MethodError as error:
            self._refuse(message, error)
        except Exception:  # a handler's bug must not end the connection of everybody else
            logger.exception("the handler of %r failed", message)
            self._fail(message)
        _free(call)

    async def close(self) -> None:
        """End all handlers and wait for them."""
        tasks = list(self._tasks)
        self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cancel(self) -> None:
        """End all handlers: nobody can get their answers any more."""
        for task in self._tasks:
            task.cancel()

    def _admit(self, message: Message, *, oversized: bool) -> Method:
        if oversized:
            raise MethodError(
                ERROR_TOO_LARGE, f"a message may have at most {self._limits.message_bytes} bytes"
            )
        standard = self._standard.find(message)
        if standard is not None:
            method = standard[1]
            check_arguments(message, method.in_signature)
            return method
        method = self._exports.find(message)[1]
        self._check_room(message.sender or "")
        return method

    def _check_room(self, sender: str) -> None:
        if self._running.get(sender, 0) >= self._limits.handlers_per_sender:
            raise MethodError(
                ERROR_LIMIT_EXCEEDED,
                f"{self._limits.handlers_per_sender} of your calls are not answered yet; wait",
            )
        if len(self._tasks) >= self._limits.handlers:
            raise MethodError(ERROR_LIMIT_EXCEEDED, "too many calls are not answered yet; try again later")

    def _start(
        self, message: Message, call: IncomingCall, method: Method, results: Awaitable[Results]
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._finish(message, call, method, results))
        self._tasks.add(task)
        self._running[call.sender] = self._running.get(call.sender, 0) + 1
        task.add_done_callback(lambda ended: self._ended(ended, call, results))

    async def _finish(
        self, message: Message, call: IncomingCall, method: Method, results: Awaitable[Results]
    ) -> None:
        try:
            self._return(message, call, method, await results)
        except MethodError as error:
            self._refuse(message, error)
        except Exception:  # as in `handle`
            logger.exception("the handler of %r failed", message)
            self._fail(message)

    def _ended(self, task: asyncio.Task[None], call: IncomingCall, results: Awaitable[Results]) -> None:
        self._tasks.discard(task)
        if isinstance(results, Coroutine):
            # A task that is cancelled before its first step never awaits it.
            results.close()
        left = self._running[call.sender] - 1
        if left:
            self._running[call.sender] = left
        else:
            del self._running[call.sender]
        _free(call)

    def _return(self, message: Message, call: IncomingCall, method: Method, results: Results) -> None:
        reply = _answer_to(message, METHOD_RETURN)
        reply.signature = method.out_signature
        reply.body = () if results is None else results
        reply.fds = call.reply_fds
        self._reply(message, reply)

    def _refuse(self, message: Message, error: MethodError) -> None:
        self._reply(message, _error_to(message, error.name, error.text))

    def _fail(self, message: Message) -> None:
        """Answer that the handler failed; what it raised is for our log alone."""
        self._reply(
            message, _error_to(message, ERROR_FAILED, f"{message.member} failed; the service's log says why")
        )

    def _reply(self, message: Message, reply: Message) -> None:
        if message.flags & NO_REPLY_EXPECTED:
            return
        try:
            self._send(reply)
        except (InvalidValue, TooLarge) as error:
            logger.error("the answer to %r cannot be sent: %s", message, error)
            name = ERROR_TOO_LARGE if isinstance(error, TooLarge) else ERROR_FAILED
            self._reply_error(
                _error_to(message, name, f"the answer of {message.member} cannot be sent: {error}")
            )
        except (BusLost, QueueFull) as error:
            logger.warning("the answer to %r is lost: %s", message, error)

    def _reply_error(self, reply: Message) -> None:
        try:
            self._send(reply)
        except (BusLost, QueueFull, InvalidValue) as error:
            logger.warning("an error answer is lost: %s", error)


def _answer_to(message: Message, kind: int) -> Message:
    return Message(
        kind=kind, flags=NO_REPLY_EXPECTED, reply_serial=message.serial, destination=message.sender
    )


def _error_to(message: Message, name: str, text: str) -> Message:
    reply = _answer_to(message, ERROR)
    reply.error_name = name
    reply.signature = "s"
    reply.body = (text,)
    return reply


def _free(call: IncomingCall) -> None:
    close_fds(call.fds)
    close_fds(call.reply_fds)


def run_guarded(handler: Callable[..., Any], *arguments: Any) -> None:
    """Call a handler that gives no answer; what it raises is logged and goes no further."""
    try:
        handler(*arguments)
    except Exception:  # a handler's bug must not end the connection of everybody else
        logger.exception("a handler failed: %r", handler)
