"""What an agent's author sees go wrong, and what an agent answers with."""

from __future__ import annotations

from guestmux_protocol.errors import GuestmuxError
from guestmux_transport import errors as transport
from guestmux_transport.names import ERROR_PREFIX

COMMAND_FAILED = ERROR_PREFIX + "CommandFailed"
COMMAND_NOT_FOUND = ERROR_PREFIX + "CommandNotFound"
INVALID_ARGUMENT = ERROR_PREFIX + "InvalidArgument"
DENIED = ERROR_PREFIX + "Denied"
NOT_REGISTERED = ERROR_PREFIX + "NotRegistered"
LIMIT_EXCEEDED = ERROR_PREFIX + "LimitExceeded"


class AgentError(GuestmuxError):
    """Root of what the SDK raises."""


class CommandError(AgentError):
    """Raise it in a command: the host gets the text as QMP's `desc`.

    Args:
        desc: what went wrong and what to do next, one line.
    """

    def __init__(self, desc: str) -> None:
        super().__init__(desc)
        self.desc = desc


class UndeclaredEvent(AgentError):
    """The class declares no such event; nothing was sent."""


class Disconnected(AgentError):
    """eventd or the bus is not there, or went before it answered: what was asked may or may not have happened."""


class BadAnswer(AgentError):
    """eventd answered with something else than org.guestmux.Manager1 says."""


class ManagerRefused(AgentError):
    """eventd refused. The text is its own."""


class NotInSession(ManagerRefused):
    """This process is in no session of its user, or claimed one that is not its own."""


class AlreadyRegistered(ManagerRefused):
    """An agent of this name, or with one of these commands, is registered in the session."""


class NotRegistered(ManagerRefused):
    """This agent is not registered now."""


class InvalidArgument(ManagerRefused):
    """A name, a schema or data do not fit."""


class Denied(ManagerRefused):
    """Not allowed for this agent."""


class LimitExceeded(ManagerRefused):
    """Too many agents, or too many events a second: slow down."""


class TooLarge(ManagerRefused):
    """More data than eventd takes."""


class Unsupported(ManagerRefused):
    """This eventd cannot do it."""


_REFUSALS = {
    kind.__name__: kind
    for kind in (
        NotInSession,
        AlreadyRegistered,
        NotRegistered,
        InvalidArgument,
        Denied,
        LimitExceeded,
        TooLarge,
        Unsupported,
    )
}

# What the bus answers in a receiver's place when it left.
_GONE = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected")
)


def refusal(name: str, text: str) -> ManagerRefused:
    """What an error of eventd's means, by its name without the prefix."""
    return _REFUSALS.get(name, ManagerRefused)(text)


def from_bus(error: transport.BusError) -> AgentError:
    """What a failed call to eventd means to an agent."""
    if isinstance(error, transport.CallError):
        if error.name in _GONE:
            return Disconnected(f"eventd is not there: {error.text}")
        return refusal(error.name.removeprefix(ERROR_PREFIX), error.text)
    if isinstance(error, transport.InvalidValue):
        return InvalidArgument(str(error))
    if isinstance(error, transport.TooLarge):
        return TooLarge(str(error))
    if isinstance(error, transport.QueueFull):
        return LimitExceeded(str(error))
    return Disconnected(str(error))
