"""What can go wrong, in two families: ours (`GuestmuxError`) and theirs (`RemoteError`: the guest refused)."""

from __future__ import annotations

from guestmux_protocol.errors import GuestmuxError, RemoteError
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR, ErrorReply

__all__ = [
    "CallTimeout",
    "CommandDisabled",
    "CommandFailed",
    "CommandNotFound",
    "ConnectError",
    "ConnectionLost",
    "GuestTooOld",
    "GuestmuxError",
    "NoAddress",
    "NoStreams",
    "NotConnected",
    "RemoteError",
    "StreamFailed",
    "UnexpectedReply",
    "refusal",
    "remote_error",
]

_DISABLED = " has been disabled"


class ConnectError(GuestmuxError):
    """The guest could not be reached; the text says why and what to do."""


class NotConnected(GuestmuxError):
    """There is no connection now; the command was not sent, so it did not run."""


class ConnectionLost(GuestmuxError):
    """The connection ended, or the guest's side restarted, before the reply; the command may or may not have run."""


class CallTimeout(GuestmuxError):
    """No reply within the time given; the command may or may not have run."""


class UnexpectedReply(GuestmuxError):
    """The guest's reply is not what this command returns; is something else than guestmux behind the port?"""


class NoAddress(GuestmuxError):
    """Neither an address was given nor $GUESTMUX_CONNECT set."""


class NoStreams(GuestmuxError):
    """The guest's port carries no streams: it is a `qga` port, an older eventd's, or was asked to stay with JSON."""


class GuestTooOld(GuestmuxError):
    """The guest's guestmux lacks what is asked for; the text names it."""


class CommandNotFound(RemoteError):
    """The guest has no such command, or the session's agent has not."""


class CommandDisabled(CommandNotFound):
    """The guest has the command, and its policy does not allow it."""


class CommandFailed(RemoteError):
    """The command failed, or its arguments are wrong; `desc` has the guest's words."""


class StreamFailed(RemoteError):
    """The other side ended a stream.

    Args:
        error_class: QMP's error class.
        desc: the other side's own words.
        party: who failed: `agent`, `eventd` or `host`.
    """

    def __init__(self, error_class: str, desc: str, party: str) -> None:
        super().__init__(error_class, desc)
        self.party = party


def remote_error(untrusted_reply: ErrorReply) -> RemoteError:
    """The exception for a guest's refusal."""
    return refusal(untrusted_reply.error_class, untrusted_reply.desc)


def refusal(error_class: str, untrusted_desc: str) -> RemoteError:
    """The exception for a guest's refusal, by QMP's class of it."""
    kind: type[RemoteError] = RemoteError
    if error_class == GENERIC_ERROR:
        kind = CommandFailed
    elif error_class == COMMAND_NOT_FOUND:
        # QMP has no class of its own for what policy forbids (qapi/qmp-dispatch.c).
        kind = CommandDisabled if _DISABLED in untrusted_desc else CommandNotFound
    return kind(error_class, untrusted_desc)
