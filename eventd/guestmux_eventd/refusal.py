"""How eventd refuses: a local bus client by a D-Bus error, a host's command by a QMP error."""

from __future__ import annotations

from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR

NOT_IN_SESSION = "NotInSession"
ALREADY_REGISTERED = "AlreadyRegistered"
NOT_REGISTERED = "NotRegistered"
INVALID_ARGUMENT = "InvalidArgument"
DENIED = "Denied"
LIMIT_EXCEEDED = "LimitExceeded"
TOO_LARGE = "TooLarge"
UNSUPPORTED = "Unsupported"


class Refusal(GuestmuxError):
    """A bus client asked for what it cannot have.

    Args:
        error: the last part of the D-Bus error's name.
        desc: what is wrong, and what to do next.
    """

    def __init__(self, error: str, desc: str) -> None:
        super().__init__(desc)
        self.error = error
        self.desc = desc


class CommandFailure(GuestmuxError):
    """A host's command failed.

    Args:
        desc: what went wrong, and what to do next.
        error_class: QMP's error class.
    """

    def __init__(self, desc: str, error_class: str = GENERIC_ERROR) -> None:
        super().__init__(desc)
        self.error_class = error_class
        self.desc = desc


def command_not_found(untrusted_command: str) -> CommandFailure:
    """The refusal of an unknown command, in qemu-ga's words (qapi/qmp-dispatch.c)."""
    return CommandFailure(f"The command {untrusted_command[:128]} has not been found", COMMAND_NOT_FOUND)


def disabled_by_policy(command: str) -> CommandFailure:
    """The refusal of what the site's policy forbids, in the words of qemu-ga 10.2 (qmp_dispatch and its reason)."""
    desc = f"The command {command[:128]} has been disabled: the command is not allowed"
    return CommandFailure(desc, COMMAND_NOT_FOUND)


def disabled_while_frozen(command: str) -> CommandFailure:
    """The refusal of what would hang on a frozen file system.

    In qemu-ga 7.2's words: 10.2 has the text of `disabled_by_policy` here too, which hides the reason and the way out.
    """
    desc = f"The command {command[:128]} has been disabled: the agent is in frozen state"
    return CommandFailure(desc, COMMAND_NOT_FOUND)
