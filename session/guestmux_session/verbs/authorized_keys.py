"""guest-ssh-*-authorized-keys: who may log in as a user, by OpenSSH's file in the home."""

from __future__ import annotations

import errno
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.accounts import (
    GuestAuthorizedKeys,
    GuestSshAddAuthorizedKeys,
    GuestSshGetAuthorizedKeys,
    GuestSshRemoveAuthorizedKeys,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.user_files import Owner, read_file, user_folder, write_file

FOLDER = ".ssh"
NAME = "authorized_keys"

_LINK = "the file or its folder is a symbolic link, which is not followed, or no file and folder"


class AuthorizedKeys:
    """Reads and changes users' ~/.ssh/authorized_keys.

    Args:
        find_user: a user's entry by name; raises KeyError.
    """

    def __init__(self, find_user: Callable[[str], pwd.struct_passwd] = pwd.getpwnam) -> None:
        self._find_user = find_user

    @command_of(GUEST["guest-ssh-get-authorized-keys"])
    def get(self, arguments: GuestSshGetAuthorizedKeys) -> GuestAuthorizedKeys:
        """Give the file's lines that are keys, in its order."""
        home, owner = self._home(arguments.username)
        with _explained("read", home), user_folder(home, FOLDER, owner, make=False) as folder:
            lines = _lines(read_file(folder, NAME, owner))
        stripped = [line.decode(errors="replace").strip() for line in lines]
        return GuestAuthorizedKeys(keys=[line for line in stripped if line and not line.startswith("#")])

    @command_of(GUEST["guest-ssh-add-authorized-keys"])
    def add(self, arguments: GuestSshAddAuthorizedKeys) -> None:
        """Append those that are not there."""
        keys = _checked(arguments.keys)
        home, owner = self._home(arguments.username)
        reset = arguments.reset is not UNSET and arguments.reset
        with _explained("write to", home), user_folder(home, FOLDER, owner, make=True) as folder:
            lines = [] if reset else _lines_if_any(folder, owner)
            lines += [key for key in dict.fromkeys(keys) if key not in lines]
            write_file(folder, NAME, _text(lines), owner)

    @command_of(GUEST["guest-ssh-remove-authorized-keys"])
    def remove(self, arguments: GuestSshRemoveAuthorizedKeys) -> None:
        """Drop the lines that are such keys; comments and the rest stay as they are."""
        keys = set(_checked(arguments.keys))
        home, owner = self._home(arguments.username)
        # Where there is no file nobody may log in by a key.
        absent = suppress(FileNotFoundError)
        with _explained("write to", home), absent, user_folder(home, FOLDER, owner, make=False) as folder:
            lines = _lines(read_file(folder, NAME, owner))
            write_file(folder, NAME, _text([line for line in lines if line not in keys]), owner)

    def _home(self, untrusted_name: str) -> tuple[str, Owner]:
        try:
            user = self._find_user(untrusted_name)
        except (KeyError, ValueError) as error:  # ValueError: no name can have such a character
            raise CommandError(f"failed to lookup user '{untrusted_name}': no such user") from error
        return user.pw_dir, Owner(user.pw_uid, user.pw_gid)


@contextmanager
def _explained(action: str, home: str) -> Iterator[None]:
    """Turns what the system says into qemu-ga's text."""
    try:
        yield
    except OSError as error:
        reason = _LINK if error.errno in {errno.ELOOP, errno.ENOTDIR} else error.strerror or str(error)
        raise CommandError(f"failed to {action} '{home}/{FOLDER}/{NAME}': {reason}") from error


def _checked(untrusted_keys: Sequence[str]) -> list[bytes]:
    """Keys as lines of the file.

    Raises:
        CommandError: one is none, such as one that would become two lines.
    """
    for key in untrusted_keys:
        if not key or key.startswith("#") or any(char in key for char in "\n\r\0"):
            raise CommandError(f"invalid OpenSSH public key: '{key}'")
    return [key.encode(errors="surrogatepass") for key in untrusted_keys]


def _lines_if_any(folder: int, owner: Owner) -> list[bytes]:
    try:
        return _lines(read_file(folder, NAME, owner))
    except FileNotFoundError:
        return []


def _lines(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
