"""org.guestmux.Agent1: the object by which eventd calls an agent."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from guestmux_session import errors
from guestmux_session.calls import Running, TooManyCalls
from guestmux_session.declarations import Served
from guestmux_session.errors import CommandError
from guestmux_session.large import arguments_of_call, result_of_call
from guestmux_session.serving import Serving, UnknownCommand, written
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.errors import MethodError
from guestmux_transport.names import AGENT_INTERFACE
from guestmux_transport.values import Variant


class AgentObject:
    """Takes calls from eventd alone and runs the commands.

    Args:
        serving: the agent's commands.
        is_manager: whether a unique name owns org.guestmux.Manager1 at this moment.
        is_released: whether that one ended the registration.
        release: eventd ends the registration.
    """

    def __init__(
        self,
        serving: Serving,
        is_manager: Callable[[str], bool],
        is_released: Callable[[], bool],
        release: Callable[[], None],
    ) -> None:
        self._serving = serving
        self._is_manager = is_manager
        self._is_released = is_released
        self._tell_released = release

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
        arguments = arguments_of_call(call, untrusted_arguments, untrusted_context)
        try:
            running = self._serving.begin(served, arguments, call_id)
        except TooManyCalls as error:
            raise MethodError(errors.LIMIT_EXCEEDED, error.desc) from error
        except CommandError as error:
            raise MethodError(errors.INVALID_ARGUMENT, error.desc) from error
        return self._answer(call, served, running, seconds)

    async def _answer(
        self, call: IncomingCall, served: Served, running: Running, seconds: float | None
    ) -> Results:
        try:
            plain, text = written(served, await self._serving.calls.finish(running, seconds))
            return (result_of_call(call, plain, text),)
        except CommandError as error:
            raise MethodError(errors.COMMAND_FAILED, error.desc) from error

    def _cancel(self, call: IncomingCall) -> Results:
        self._check_sender(call)
        self._serving.calls.cancel(call.body[0])
        return ()

    def _release(self, call: IncomingCall) -> Results:
        self._check_sender(call)
        self._tell_released()
        return ()

    def _check_sender(self, call: IncomingCall) -> None:
        if not self._is_manager(call.sender):
            raise MethodError(errors.DENIED, "only the owner of org.guestmux.Manager1 may call an agent")

    def _find(self, untrusted_name: str) -> Served:
        try:
            return self._serving.find(untrusted_name)
        except UnknownCommand as error:
            raise MethodError(errors.COMMAND_NOT_FOUND, error.desc) from error


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
