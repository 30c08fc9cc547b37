"""org.guestmux.Agent1: the object by which eventd calls an agent."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from guestmux_protocol.json_text import JsonError, encode
from guestmux_protocol.schema import InvalidParameter, validate
from guestmux_session import errors
from guestmux_session.calls import CallTable, Running, TooManyCalls, Work
from guestmux_session.declarations import Served
from guestmux_session.errors import CommandError
from guestmux_session.large import arguments_of_call, result_of_call
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.names import AGENT_INTERFACE
from guestmux_transport.values import Variant

logger = logging.getLogger(__name__)

MAX_SHOWN = 128
"""Characters of the caller's text that an error repeats."""


class AgentObject:
    """Takes calls from eventd alone and runs the commands.

    Args:
        served: the agent's commands now, by name.
        calls: runs them.
        is_manager: whether a unique name owns org.guestmux.Manager1 at this moment.
        is_released: whether that one ended the registration.
        release: eventd ends the registration.
        until_registered: waits for the registration: eventd's first call may come before we have read its answer.
    """

    def __init__(
        self,
        served: Mapping[str, Served],
        calls: CallTable,
        is_manager: Callable[[str], bool],
        is_released: Callable[[], bool],
        release: Callable[[], None],
        until_registered: Callable[[], Awaitable[None]],
    ) -> None:
        self._served = served
        self._calls = calls
        self._is_manager = is_manager
        self._is_released = is_released
        self._tell_released = release
        self._until_registered = until_registered

    def interface(self) -> Interface:
        """The interface, for the bus."""
        return Interface(
            AGENT_INTERFACE,
            methods={
                "Call": ("sa{sv}a{sv}", "a{sv}", self._call),
                "Cancel": ("t", "", self._cancel),
                "Release": ("", "", self._release),
            },
        )

    def _call(self, call: IncomingCall) -> Awaitable[Results]:
        self._check_sender(call)
        if self._is_released():
            raise MethodError(errors.NOT_REGISTERED, "the agent was released; it serves the next eventd")
        name, untrusted_arguments, untrusted_context = call.body
        served = self._find(name)
        call_id, seconds = _context(untrusted_context)
        prepared = _prepare(served, arguments_of_call(call, untrusted_arguments, untrusted_context))
        try:
            running = self._calls.begin(name, self._work(served, prepared), call_id)
        except TooManyCalls as error:
            raise MethodError(errors.LIMIT_EXCEEDED, error.desc) from error
        except CommandError as error:
            raise MethodError(errors.INVALID_ARGUMENT, error.desc) from error
        return self._answer(call, served, running, seconds)

    def _work(self, served: Served, prepared: Callable[[], Any]) -> Work:
        async def work() -> Any:
            await self._until_registered()
            return await (self._calls.in_thread(prepared) if served.blocking else prepared())

        return work

    async def _answer(
        self, call: IncomingCall, served: Served, running: Running, seconds: float | None
    ) -> Results:
        try:
            plain, text = _result(served, await self._calls.finish(running, seconds))
            return (result_of_call(call, plain, text),)
        except CommandError as error:
            raise MethodError(errors.COMMAND_FAILED, error.desc) from error

    def _cancel(self, call: IncomingCall) -> Results:
        self._check_sender(call)
        self._calls.cancel(call.body[0])
        return ()

    def _release(self, call: IncomingCall) -> Results:
        self._check_sender(call)
        self._tell_released()
        return ()

    def _check_sender(self, call: IncomingCall) -> None:
        if not self._is_manager(call.sender):
            raise MethodError(errors.DENIED, "only the owner of org.guestmux.Manager1 may call an agent")

    def _find(self, untrusted_name: str) -> Served:
        served = self._served.get(untrusted_name)
        if served is None:
            text = f"The command {untrusted_name[:MAX_SHOWN]} has not been found"
            raise MethodError(errors.COMMAND_NOT_FOUND, text)
        return served


def _context(untrusted_context: dict[str, Variant]) -> tuple[int | None, float | None]:
    """The call's id and the seconds it has; members that are not known are left alone."""
    call_id, deadline = untrusted_context.get("id"), untrusted_context.get("deadline")
    if call_id is not None and call_id.signature != "t":
        raise MethodError(errors.INVALID_ARGUMENT, "the context's 'id' must be of type t")
    if deadline is None:
        return (call_id.value if call_id else None), None
    if deadline.signature != "d" or math.isnan(deadline.value):
        raise MethodError(errors.INVALID_ARGUMENT, "the context's 'deadline' must be of type d, in seconds")
    return (call_id.value if call_id else None), max(0.0, deadline.value)


def _prepare(served: Served, arguments: dict[str, Any]) -> Callable[[], Any]:
    try:
        return served.prepare(arguments)
    except InvalidParameter as error:
        raise MethodError(errors.INVALID_ARGUMENT, str(error)) from error


def _result(served: Served, value: Any) -> tuple[Any, bytes]:
    """A command's result as its schema says, and as JSON; whatever else a method returned is its author's mistake."""
    name = served.description.name
    try:
        plain = msgspec.to_builtins({} if value is None and served.nothing else value, str_keys=True)
        validate(served.description.returns, plain, "return")
        return plain, encode(plain)
    except (TypeError, ValueError, RecursionError, InvalidParameter, JsonError) as error:
        logger.error("%s returned what it did not declare: %s", name, error)
        raise CommandError(f"internal error in {name}; the agent's log says more") from error
