"""Passwords and SSH keys of the machine's users."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


class GuestAuthorizedKeys(Data, frozen=True):
    """The keys that may log in as a user."""

    keys: Annotated[list[str], doc("Each a line of the file, without comments and empty lines.")]


@command(GUEST, "guest-set-user-password", returns=Data)
class GuestSetUserPassword(Arguments, frozen=True):
    """Change a user's password."""

    username: str
    password: Annotated[str, doc("In base64.")]
    crypted: Annotated[bool, doc("It is hashed already, as crypt(3) does it.")]


@command(GUEST, "guest-ssh-get-authorized-keys", returns=GuestAuthorizedKeys)
class GuestSshGetAuthorizedKeys(Arguments, frozen=True):
    """Read the public keys in a user's ~/.ssh/authorized_keys."""

    username: str


@command(GUEST, "guest-ssh-add-authorized-keys", returns=Data)
class GuestSshAddAuthorizedKeys(Arguments, frozen=True):
    """Append public keys to a user's ~/.ssh/authorized_keys, which is made where there is none."""

    username: str
    keys: Annotated[list[str], doc("A line each; one that is there already is not added.")]
    reset: Annotated[bool | UnsetType, doc("Drop what was in the file.")] = UNSET


@command(GUEST, "guest-ssh-remove-authorized-keys", returns=Data)
class GuestSshRemoveAuthorizedKeys(Arguments, frozen=True):
    """Take public keys out of a user's ~/.ssh/authorized_keys; those that are not there are ignored."""

    username: str
    keys: Annotated[list[str], doc("A line each, as it is in the file.")]
