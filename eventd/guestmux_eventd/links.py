"""eventd's way to the registered agents: calls on org.guestmux.Agent1, with a deadline and cancellation."""

from __future__ import annotations

import itertools
from typing import Any

import anyio

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.large_messages import large_arguments, large_result
from guestmux_eventd.large_values import LargeValues
from guestmux_eventd.refusal import CommandFailure
from guestmux_protocol.messages import COMMAND_NOT_FOUND
from guestmux_transport.bus import Bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import BusError, BusLost, CallError, CallTimeout, QueueFull, TooLarge
from guestmux_transport.names import AGENT_INTERFACE, ERROR_PREFIX
from guestmux_transport.values import Variant, object_from_json, to_json

MAX_DESC = 1000
"""Characters of an agent's own error text that go on to the host."""

UNSURE = "the command may or may not have run"

_GONE = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected")
)
_NOT_FOUND = frozenset({f"{ERROR_PREFIX}CommandNotFound", "org.freedesktop.DBus.Error.UnknownMethod"})


class BusLinks:
    """Calls to agents over the bus. `bus` is set while there is one."""

    def __init__(self) -> None:
        self.bus: Bus | None = None
        self._ids = itertools.count(1)
        self._large = LargeValues()

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        """Run a command in an agent.

        Args:
            agent: which.
            command: a command that it registered.
            arguments: validated arguments.
            port: the host's port, told to the agent.
            timeout: seconds until the call is given up and cancelled.

        Raises:
            CommandFailure: the agent failed, left, was too slow, or the bus was lost.
        """
        bus = self.bus
        if bus is None:
            raise CommandFailure("the bus to the agents is lost; it is being reconnected: try again")
        call_id = next(self._ids)
        context = {"id": Variant("t", call_id), "deadline": Variant("d", timeout), "port": Variant("s", port)}
        fds = large_arguments(agent, arguments)
        try:
            reply = await bus.call(
                agent.sender,
                agent.path,
                AGENT_INTERFACE,
                "Call",
                "sa{sv}a{sv}",
                _body(command, arguments, context, fds),
                timeout=timeout,
                fds=fds,
            )
            return await self._result(agent, reply, port)
        except CallTimeout as error:
            self._cancel(bus, agent, call_id)
            desc = (
                f"agent '{agent.name}' did not answer within {timeout:g} s; the call was cancelled, {UNSURE}"
            )
            raise CommandFailure(desc) from error
        except anyio.get_cancelled_exc_class():
            self._cancel(bus, agent, call_id)
            raise
        except BusError as error:
            raise _failure(agent, error) from error
        finally:
            close_fds(fds)

    async def _result(self, agent: Agent, reply: Reply, port: str) -> Any:
        result = reply.body[0] if reply.body else None
        try:
            if isinstance(result, dict) and isinstance(fd := result.get("return-fd"), Variant):
                return await large_result(agent, fd, reply.fds, self._large, port)
            if isinstance(result, dict) and "return" in result:
                return to_json(result["return"])
        finally:
            close_fds(reply.fds)
        raise CommandFailure(
            f"agent '{agent.name}' answered without a 'return'; it breaks org.guestmux.Agent1"
        )

    def _cancel(self, bus: Bus, agent: Agent, call_id: int) -> None:
        try:
            bus.tell(agent.sender, agent.path, AGENT_INTERFACE, "Cancel", "t", (call_id,))
        except (BusLost, QueueFull):
            # The agent left with the bus, or is too far behind to be reached; its reply will be dropped.
            return


def _body(
    command: str, arguments: dict[str, Any], context: dict[str, Variant], fds: list[int]
) -> tuple[str, dict[str, Variant], dict[str, Variant]]:
    """The arguments of Agent1.Call; `fds` has the command's where they are large."""
    context["large"] = Variant("b", True)
    if not fds:
        return command, object_from_json(arguments), context
    return command, {}, {**context, "arguments-fd": Variant("h", 0)}


def _failure(agent: Agent, error: BusError) -> CommandFailure:
    if isinstance(error, BusLost):
        return CommandFailure(f"the bus to the agents was lost; {UNSURE}")
    if isinstance(error, TooLarge) and not agent.large:
        return CommandFailure(f"agent '{agent.name}' does not pass large messages as memfds: {error}")
    if not isinstance(error, CallError):
        return CommandFailure(f"agent '{agent.name}' cannot be called: {error}")
    if error.name in _GONE:
        return CommandFailure(f"the agent disconnected; {UNSURE}")
    text = error.text[:MAX_DESC]
    if error.name in _NOT_FOUND:
        return CommandFailure(text, COMMAND_NOT_FOUND)
    if error.name.startswith(ERROR_PREFIX):
        return CommandFailure(text)
    return CommandFailure(f"agent '{agent.name}' failed: {text}")
