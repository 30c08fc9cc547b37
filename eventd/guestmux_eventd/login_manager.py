"""What eventd asks of logind, on the bus (org.freedesktop.login1(5))."""

from __future__ import annotations

from typing import Any

from guestmux_protocol.sessions import Session
from guestmux_transport.bus import Bus
from guestmux_transport.errors import CallError
from guestmux_transport.names import PROPERTIES_INTERFACE

LOGIN_NAME = "org.freedesktop.login1"
LOGIN_PATH = "/org/freedesktop/login1"
MANAGER_INTERFACE = "org.freedesktop.login1.Manager"
SESSION_INTERFACE = "org.freedesktop.login1.Session"
SEAT_INTERFACE = "org.freedesktop.login1.Seat"
USER_INTERFACE = "org.freedesktop.login1.User"

CALL_TIMEOUT = 10.0
"""Seconds: logind answers from memory; longer means that it hangs."""

_NO_SESSION = frozenset(
    {
        "org.freedesktop.login1.NoSessionForPID",
        "org.freedesktop.login1.NoSuchUser",
        "org.freedesktop.login1.NoSuchSession",
    }
)


class LoginManager:
    """logind's manager object.

    Args:
        bus: the system bus.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def sessions(self) -> dict[str, str]:
        """Every session's id and object path.

        Raises:
            BusError: logind cannot be reached.
        """
        (rows,) = await self._call(LOGIN_PATH, MANAGER_INTERFACE, "ListSessions")
        return {row[0]: row[4] for row in rows}

    async def seats(self) -> dict[str, str]:
        """Every seat's id and object path."""
        (rows,) = await self._call(LOGIN_PATH, MANAGER_INTERFACE, "ListSeats")
        return {row[0]: row[1] for row in rows}

    async def session(self, path: str) -> Session:
        """The state of a session.

        Raises:
            BusError: it is gone, or logind cannot be reached.
        """
        properties = await self._properties(path, SESSION_INTERFACE)
        return Session(
            **{"session": properties["Id"], "user": properties["Name"], **session_members(properties)}
        )

    async def session_path(self, session_id: str) -> str | None:
        """The object path of a session; None when there is no such session."""
        return await self._find("GetSession", "s", session_id)

    async def session_of_process(self, pid: int) -> str:
        """The id of the session that a process runs in; empty when in none."""
        path = await self._find("GetSessionByPID", "u", pid)
        return str(await self._property(path, SESSION_INTERFACE, "Id")) if path else ""

    async def display_of_user(self, uid: int) -> str:
        """The id of the user's primary session (logind's Display); empty when he has none."""
        path = await self._find("GetUser", "u", uid)
        if path is None:
            return ""
        session_id, _path = await self._property(path, USER_INTERFACE, "Display")
        return str(session_id)

    async def foreground(self, seat_path: str) -> str:
        """The id of the session that a seat shows; empty for none."""
        session_id, _path = await self._property(seat_path, SEAT_INTERFACE, "ActiveSession")
        return str(session_id)

    async def delay(self, what: str) -> int:
        """Take a delay inhibitor; returns its descriptor, which ends it when closed.

        Args:
            what: `shutdown` or `sleep`.

        Raises:
            BusError: logind or its policy refuses.
        """
        body = (what, "guestmux", "tell the host before it happens", "delay")
        reply = await self._bus.call(
            LOGIN_NAME, LOGIN_PATH, MANAGER_INTERFACE, "Inhibit", "ssss", body, timeout=CALL_TIMEOUT
        )
        return int(reply.fds[0])

    async def _find(self, member: str, signature: str, key: Any) -> str | None:
        try:
            (path,) = await self._call(LOGIN_PATH, MANAGER_INTERFACE, member, signature, (key,))
        except CallError as error:
            if error.name in _NO_SESSION:
                return None
            raise
        return str(path)

    async def _property(self, path: str, interface: str, name: str) -> Any:
        (variant,) = await self._call(path, PROPERTIES_INTERFACE, "Get", "ss", (interface, name))
        return variant.value

    async def _properties(self, path: str, interface: str) -> dict[str, Any]:
        (variants,) = await self._call(path, PROPERTIES_INTERFACE, "GetAll", "s", (interface,))
        return {name: variant.value for name, variant in variants.items()}

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", body: tuple[Any, ...] = ()
    ) -> Any:
        reply = await self._bus.call(
            LOGIN_NAME, path, interface, member, signature, body, timeout=CALL_TIMEOUT
        )
        return reply.body


_MEMBERS: dict[str, str] = {
    "TTY": "tty",
    "Display": "display",
    "Type": "type",
    "Class": "session_class",
    "Desktop": "desktop",
    "Service": "service",
    "Remote": "remote",
    "RemoteHost": "remote_host",
    "Active": "active",
    "LockedHint": "locked",
    "IdleHint": "idle",
}


SESSION_PROPERTIES = frozenset({*_MEMBERS, "User", "Seat", "Timestamp"})
"""The properties of a session that are read."""


def _state(properties: dict[str, Any]) -> str:
    """The state without logind's own: it signals Active when that changes, but not State."""
    if properties.get("State") == "closing":
        return "closing"
    return "active" if properties["Active"] else "online"


def session_members(properties: dict[str, Any]) -> dict[str, Any]:
    """Logind's properties of a session as members of `Session`; properties that it does not name are left out."""
    members = {member: properties[name] for name, member in _MEMBERS.items() if name in properties}
    if "Active" in properties:
        members["state"] = _state(properties)
    if "User" in properties:
        members["uid"] = properties["User"][0]
    if "Seat" in properties:
        members["seat"] = properties["Seat"][0]
    if "Timestamp" in properties:
        members["login_time"] = properties["Timestamp"] / 1_000_000
    return members
