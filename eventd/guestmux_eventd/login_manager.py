"""What eventd asks of logind, on the bus (org.freedesktop.login1(5))."""

from __future__ import annotations

from typing import Any

from guestmux_protocol.sessions import Session
from guestmux_transport.bus import Bus
from guestmux_transport.bus_connection import Reply
from guestmux_transport.bus_socket import close_fds
from guestmux_transport.errors import BusError, CallError
from guestmux_transport.names import PROPERTIES_INTERFACE
from guestmux_transport.values import Variant

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


class UnexpectedAnswer(BusError):
    """logind, or who owns its name, gave something of other types than org.freedesktop.login1(5) says."""


class LoginManager:
    """logind's manager object.

    Args:
        bus: the system bus.

    Every method raises BusError: logind cannot be reached, refuses, or gives an UnexpectedAnswer.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def sessions(self) -> dict[str, str]:
        """Every session's id and object path."""
        rows = await self._call("a(susso)", LOGIN_PATH, MANAGER_INTERFACE, "ListSessions")
        return {row[0]: row[4] for row in rows}

    async def seats(self) -> dict[str, str]:
        """Every seat's id and object path."""
        rows = await self._call("a(so)", LOGIN_PATH, MANAGER_INTERFACE, "ListSeats")
        return {row[0]: row[1] for row in rows}

    async def session(self, path: str) -> Session:
        """The state of a session; CallError when it is gone."""
        session, _reply = await self.read_session(path)
        return session

    async def read_session(self, path: str) -> tuple[Session, Reply]:
        """The same with the answer that says so."""
        reply = await self._answer("a{sv}", path, PROPERTIES_INTERFACE, "GetAll", "s", (SESSION_INTERFACE,))
        members = session_members(reply.body[0])
        if missing := {"session", "user", "uid"} - members.keys():
            raise UnexpectedAnswer(f"{path} has no {min(missing)}")
        return Session(**members), reply

    async def session_path(self, session_id: str) -> str | None:
        """The object path of a session; None when there is no such session."""
        return await self._find("GetSession", "s", session_id)

    async def session_of_process(self, pid: int) -> str:
        """The id of the session that a process runs in; empty when in none."""
        path = await self._find("GetSessionByPID", "u", pid)
        return str(await self._property("s", path, SESSION_INTERFACE, "Id")) if path else ""

    async def display_of_user(self, uid: int) -> str:
        """The id of the user's primary session (logind's Display); empty when he has none."""
        path = await self._find("GetUser", "u", uid)
        if path is None:
            return ""
        session_id, _path = await self._property("(so)", path, USER_INTERFACE, "Display")
        return str(session_id)

    async def foreground(self, seat_path: str) -> tuple[str, Reply]:
        """The id of the session that a seat shows, empty for none, and the answer that says so."""
        arguments = (SEAT_INTERFACE, "ActiveSession")
        reply = await self._answer("v", seat_path, PROPERTIES_INTERFACE, "Get", "ss", arguments)
        session_id, _path = value_of("ActiveSession", reply.body[0], "(so)")
        return str(session_id), reply

    async def delay(self, what: str) -> int:
        """Take a delay inhibitor; returns its descriptor, which ends it when closed.

        Args:
            what: `shutdown` or `sleep`.
        """
        body = (what, "guestmux", "tell the host before it happens", "delay")
        reply = await self._reply(LOGIN_PATH, MANAGER_INTERFACE, "Inhibit", "ssss", body)
        if reply.signature != "h" or len(reply.fds) != 1:
            close_fds(reply.fds)
            raise UnexpectedAnswer("Inhibit gave no descriptor")
        return reply.fds[0]

    async def _find(self, member: str, signature: str, key: Any) -> str | None:
        try:
            path = await self._call("o", LOGIN_PATH, MANAGER_INTERFACE, member, signature, (key,))
        except CallError as error:
            if error.name in _NO_SESSION:
                return None
            raise
        return str(path)

    async def _property(self, returns: str, path: str, interface: str, name: str) -> Any:
        variant = await self._call("v", path, PROPERTIES_INTERFACE, "Get", "ss", (interface, name))
        return value_of(name, variant, returns)

    async def _call(
        self,
        returns: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
    ) -> Any:
        return (await self._answer(returns, path, interface, member, signature, body)).body[0]

    async def _answer(
        self, returns: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
    ) -> Reply:
        reply = await self._reply(path, interface, member, signature, body)
        close_fds(reply.fds)
        if reply.signature != returns:
            raise UnexpectedAnswer(f"{member} gave '{reply.signature}', not '{returns}'")
        return reply

    async def _reply(
        self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
    ) -> Reply:
        return await self._bus.call(
            LOGIN_NAME, path, interface, member, signature, body, timeout=CALL_TIMEOUT
        )


_MEMBERS: dict[str, str] = {
    "Id": "session",
    "Name": "user",
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

SESSION_PROPERTIES: dict[str, str] = {
    **dict.fromkeys(_MEMBERS, "s"),
    **dict.fromkeys(("Remote", "Active", "LockedHint", "IdleHint"), "b"),
    "State": "s",
    "User": "(uo)",
    "Seat": "(so)",
    "Timestamp": "t",
}
"""The properties of a session that are read, and their types."""


def value_of(name: str, variant: Variant, signature: str) -> Any:
    """The value of a property.

    Raises:
        UnexpectedAnswer: it is of another type.
    """
    if variant.signature != signature:
        raise UnexpectedAnswer(f"{name} is of type '{variant.signature}', not '{signature}'")
    return variant.value


def _state(properties: dict[str, Any]) -> str:
    """The state without logind's own: it signals Active when that changes, but not State."""
    if properties.get("State") == "closing":
        return "closing"
    return "active" if properties["Active"] else "online"


def session_members(variants: dict[str, Variant]) -> dict[str, Any]:
    """Logind's properties of a session as members of `Session`; properties that it does not name are left out.

    Raises:
        UnexpectedAnswer: one is not of its type.
    """
    properties = {
        name: value_of(name, variants[name], signature)
        for name, signature in SESSION_PROPERTIES.items()
        if name in variants
    }
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
