"""guest-set-user-password, by chpasswd."""

from __future__ import annotations

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.accounts import GuestSetUserPassword
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.base64_text import decoded
from guestmux_session.verbs.programs import Programs


class Passwords:
    """Changes users' passwords.

    Args:
        programs: finds and runs chpasswd.
    """

    def __init__(self, programs: Programs | None = None) -> None:
        self._programs = programs or Programs()

    @command_of(GUEST["guest-set-user-password"])
    def set_password(self, arguments: GuestSetUserPassword) -> None:
        """Give chpasswd one line, which must stay one."""
        password = decoded(arguments.password)
        if b"\n" in password or b"\0" in password:
            raise CommandError("forbidden characters in raw password")
        user = arguments.username.encode(errors="surrogatepass")
        if any(char in user for char in b":\n\0"):
            raise CommandError("forbidden characters in username")
        options = ["--encrypted"] if arguments.crypted else []
        self._programs.run(["chpasswd", *options], "set user password", b"%s:%s\n" % (user, password))
