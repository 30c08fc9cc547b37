"""guest-get-users by utmp(5), for where no logind is asked."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guestmux_protocol.commands import NATIVE, GuestGetUsers, GuestUser
from guestmux_session.declarations import command_of

UTMP = Path("/var/run/utmp")

MAX_UTMP = 4 << 20
"""Bytes of utmp that are read: ten thousand logins."""

# glibc's struct utmp: type, pid, line, id, user, host, exit status, session, seconds, microseconds, address, spare.
_LAYOUTS = (
    struct.Struct("=hxxi32s4s32s256shhiii16s20s"),
    struct.Struct("=hxxi32s4s32s256shhqqq16s20sxxxx"),
)

_USER_PROCESS = 7
_LAST_TYPE = 9


@dataclass(frozen=True)
class _Login:
    kind: int
    user: str
    time: float


class Users:
    """Lists users.

    Args:
        utmp: the file of logins.
    """

    def __init__(self, utmp: Path = UTMP) -> None:
        self._utmp = utmp

    @command_of(NATIVE["guest-get-users"])
    def users(self, _arguments: GuestGetUsers) -> list[GuestUser]:
        """Give each user once, with the earliest of his logins; none where the system keeps no utmp."""
        earliest: dict[str, float] = {}
        for login in self._logins():
            if login.kind == _USER_PROCESS:
                earliest[login.user] = min(login.time, earliest.get(login.user, login.time))
        return [GuestUser(user=user, login_time=time) for user, time in earliest.items()]

    def _logins(self) -> list[_Login]:
        try:
            with self._utmp.open("rb") as utmp:
                return parse(utmp.read(MAX_UTMP))
        except OSError:
            return []


def parse(records: bytes) -> list[_Login]:
    """The logins in a utmp file.

    How wide its times are depends on the processor (glibc's bits/utmp.h), and the file does not say: it is the
    layout whose records fill the file and have types that exist. None where neither does.
    """
    for layout in _LAYOUTS:
        logins = list(_parse_as(layout, records)) if len(records) % layout.size == 0 else []
        if logins and all(0 <= login.kind <= _LAST_TYPE for login in logins):
            return logins
    return []


def _parse_as(layout: struct.Struct, records: bytes) -> Iterator[_Login]:
    for kind, _, _, _, user, _, _, _, _, seconds, microseconds, *_ in layout.iter_unpack(records):
        name = user.split(b"\0")[0].decode(errors="replace")
        yield _Login(kind, name, seconds + microseconds / 1_000_000)
