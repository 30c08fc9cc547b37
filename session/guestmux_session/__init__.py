"""The agent SDK. docs/agents.md shows how to write one."""

from guestmux_protocol.registry import Arguments, Data, doc
from guestmux_session.agent import Agent
from guestmux_session.declarations import command, command_of
from guestmux_session.errors import (
    AgentError,
    AlreadyRegistered,
    BadAnswer,
    CommandError,
    Denied,
    Disconnected,
    InvalidArgument,
    LimitExceeded,
    ManagerRefused,
    NotInSession,
    NotRegistered,
    TooLarge,
    UndeclaredEvent,
    Unsupported,
)
from guestmux_session.events import Event
from guestmux_session.streams import ServedStream, stream

__all__ = [
    "Agent",
    "AgentError",
    "AlreadyRegistered",
    "Arguments",
    "BadAnswer",
    "CommandError",
    "Data",
    "Denied",
    "Disconnected",
    "Event",
    "InvalidArgument",
    "LimitExceeded",
    "ManagerRefused",
    "NotInSession",
    "NotRegistered",
    "ServedStream",
    "TooLarge",
    "UndeclaredEvent",
    "Unsupported",
    "command",
    "command_of",
    "doc",
    "stream",
]
