"""The `qmp` dialect, server side (docs/interop/qmp-spec.rst in QEMU's tree).

A stock qmp-shell or qemu.qmp client talks to it as it talks to QEMU.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from guestmux_protocol.commands import NATIVE, QmpCapabilities
from guestmux_protocol.framer import JsonFramer
from guestmux_protocol.incoming import Answered, Incoming, read_value
from guestmux_protocol.limits import DEFAULT_LIMITS, Limits
from guestmux_protocol.messages import (
    COMMAND_NOT_FOUND,
    GENERIC_ERROR,
    Greeting,
    Request,
    encode_error,
    encode_greeting,
    encode_reply,
)
from guestmux_protocol.schema import InvalidParameter
from guestmux_protocol.version import version_info

CAPABILITIES = ("oob",)


class State(Enum):
    """Where the connection stands in QMP's life."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and these are looked up for each command

    NEGOTIATING = "capabilities negotiation"
    COMMANDS = "command"


NEGOTIATE, OTHER = "qmp_capabilities", "any other command"

TRANSITIONS: dict[State, dict[str, State | str]] = {
    State.NEGOTIATING: {
        NEGOTIATE: State.COMMANDS,
        OTHER: "Expecting capabilities negotiation with 'qmp_capabilities'",
    },
    State.COMMANDS: {
        NEGOTIATE: "Capabilities negotiation is already complete, command ignored",
        OTHER: State.COMMANDS,
    },
}
"""For each state what a command leads to: the next state, or the refusal that QEMU gives (monitor/qmp.c)."""


class QmpDialect:
    """One host connection that speaks QMP: a greeting, a negotiation, then commands and events.

    Args:
        limits: bounds on one message.
    """

    name = "qmp"

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._framer = JsonFramer(limits)
        self.state = State.NEGOTIATING
        self.concurrent = False

    def __repr__(self) -> str:
        return f"<QmpDialect {self.state.name} oob={self.concurrent} buffered={self._framer.buffered}>"

    def opened(self) -> bytes:
        """The greeting, to be sent when a host connects."""
        return encode_greeting(Greeting(version_info(), list(CAPABILITIES)))

    def receive(self, data: bytes) -> list[Incoming]:
        """The requests in the host's bytes, with the answers to what needs no running, in order."""
        return [
            self._gate(read_value(value, oob_allowed=self.concurrent)) for value in self._framer.feed(data)
        ]

    def reply(self, request: Request, value: Any) -> bytes:
        """The bytes of a successful reply.

        Raises:
            JsonError: the value is no JSON value.
        """
        return encode_reply(value, request.id)

    def error(self, request: Request, error_class: str, desc: str) -> bytes:
        """The bytes of an error reply."""
        return encode_error(error_class, desc, request.id)

    def _gate(self, incoming: Incoming) -> Incoming:
        if isinstance(incoming, Answered):
            return incoming
        if incoming.command == NEGOTIATE:
            return self._negotiate(incoming)
        outcome = TRANSITIONS[self.state][OTHER]
        return incoming if isinstance(outcome, State) else _refuse(incoming, COMMAND_NOT_FOUND, outcome)

    def _negotiate(self, request: Request) -> Answered:
        # As in QEMU the arguments are checked first.
        try:
            wanted: QmpCapabilities = NATIVE[NEGOTIATE].parse(request.arguments)
        except InvalidParameter as error:
            return _refuse(request, GENERIC_ERROR, str(error))
        outcome = TRANSITIONS[self.state][NEGOTIATE]
        if not isinstance(outcome, State):
            return _refuse(request, COMMAND_NOT_FOUND, outcome)
        self.state = outcome
        self.concurrent = "oob" in wanted.enable
        return Answered(encode_reply({}, request.id))


def _refuse(request: Request, error_class: str, desc: str) -> Answered:
    return Answered(encode_error(error_class, desc, request.id))
