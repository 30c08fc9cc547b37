"""The Session, User and Seat objects; signatures and names are those of org.freedesktop.login1(5), systemd 252."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.authority import Authority
from guestmux.demo.standin_logind.effects import Effect
from guestmux.demo.standin_logind.logins import Logins
from guestmux.demo.standin_logind.records import Moment, Seat, Session, User
from guestmux_transport.bus_exports import IncomingCall, Interface, Property

NOTHING = ("", "/")
"""How logind says "no session" or "no seat"."""


class LoginObjects:
    """Makes the interfaces to export."""

    def __init__(
        self,
        logins: Logins,
        authority: Authority,
        perform: Callable[[list[Effect]], None],
        end_session: Callable[[str], None],
    ) -> None:
        """Make none yet.

        Args:
            logins: the tables.
            authority: checks callers.
            perform: tells the bus what changed.
            end_session: begins to end a session, by its id.
        """
        self._logins = logins
        self._authority = authority
        self._perform = perform
        self._end_session = end_session

    def session(self, session: Session) -> Interface:
        """The Session object."""
        return Interface(
            names.SESSION,
            methods=self._session_methods(session),
            properties={
                **_session_identity(session),
                **_session_place(session),
                "Active": Property("b", lambda: self._logins.is_active(session)),
                "State": Property("s", lambda: self._logins.session_state(session)),
                "LockedHint": Property("b", lambda: session.locked),
                **_idle_properties(lambda: [session]),
            },
            signals={"Lock": "", "Unlock": ""},
        )

    def user(self, user: User) -> Interface:
        """The User object."""

        def sessions() -> list[Session]:
            return self._logins.sessions_of_user(user.uid)

        async def terminate(call: IncomingCall) -> None:
            await self._authority.check(call, user.uid)
            for session in sessions():
                self._end_session(session.id)

        return Interface(
            names.USER,
            methods={"Terminate": ("", "", terminate)},
            properties={
                "UID": _constant("u", user.uid),
                "GID": _constant("u", user.uid),
                "Name": _constant("s", user.name),
                **_timestamps(user.began),
                "RuntimePath": _constant("s", f"/run/user/{user.uid}"),
                "Service": _constant("s", f"user@{user.uid}.service"),
                "Slice": _constant("s", f"user-{user.uid}.slice"),
                "Display": Property("(so)", lambda: _reference(self._logins.display_of(user))),
                "State": Property("s", lambda: self._logins.user_state(user)),
                "Sessions": Property("a(so)", lambda: [_reference(each) for each in sessions()]),
                "Linger": Property("b", lambda: False),
                **_idle_properties(sessions),
            },
        )

    def seat(self, seat: Seat) -> Interface:
        """The Seat object."""

        def sessions() -> list[Session]:
            return self._logins.sessions_of_seat(seat.id)

        async def activate(call: IncomingCall) -> None:
            await self._activate(call, seat.id, call.body[0])

        return Interface(
            names.SEAT,
            methods={"ActivateSession": ("s", "", activate)},
            properties={
                "Id": _constant("s", seat.id),
                "ActiveSession": Property("(so)", lambda: _reference(seat.active)),
                "CanTTY": Property("b", lambda: True),
                "CanGraphical": Property("b", lambda: True),
                "Sessions": Property("a(so)", lambda: [_reference(each) for each in sessions()]),
                **_idle_properties(sessions),
            },
        )

    def _session_methods(self, session: Session) -> dict[str, Any]:
        async def lock(call: IncomingCall) -> None:
            await self._authority.check(call, session.uid)
            self._perform(self._logins.ask_to_lock(session.id, lock=call.member == "Lock"))

        async def activate(call: IncomingCall) -> None:
            await self._activate(call, session.seat, session.id)

        async def terminate(call: IncomingCall) -> None:
            await self._authority.check(call, session.uid)
            self._end_session(session.id)

        async def set_idle(call: IncomingCall) -> None:
            await self._authority.check_hint(call, session.uid, "idle")
            self._perform(self._logins.set_idle(session.id, idle=call.body[0]))

        async def set_locked(call: IncomingCall) -> None:
            await self._authority.check_hint(call, session.uid, "locked")
            self._perform(self._logins.set_locked(session.id, locked=call.body[0]))

        return {
            "Terminate": ("", "", terminate),
            "Activate": ("", "", activate),
            "Lock": ("", "", lock),
            "Unlock": ("", "", lock),
            "SetIdleHint": ("b", "", set_idle),
            "SetLockedHint": ("b", "", set_locked),
        }

    async def _activate(self, call: IncomingCall, seat: str, session: str) -> None:
        await self._authority.check(call, self._logins.session(session).uid)
        self._perform(self._logins.set_active(seat, session))


def idle_properties(logins: Logins) -> dict[str, Property]:
    """The Manager's idle hint: whether every session is idle."""
    return _idle_properties(lambda: list(logins.sessions.values()))


def _session_identity(session: Session) -> dict[str, Property]:
    return {
        "Id": _constant("s", session.id),
        "User": _constant("(uo)", (session.uid, names.user_path(session.uid))),
        "Name": _constant("s", session.user),
        **_timestamps(session.began),
        "Service": _constant("s", session.service),
        "Desktop": _constant("s", session.desktop),
        "Scope": _constant("s", session.scope),
        "Leader": _constant("u", session.leader),
        "Audit": _constant("u", 0),
        "Type": _constant("s", session.type),
        "Class": _constant("s", session.session_class),
    }


def _session_place(session: Session) -> dict[str, Property]:
    seat = (session.seat, names.seat_path(session.seat)) if session.seat else NOTHING
    return {
        "Seat": _constant("(so)", seat),
        "VTNr": _constant("u", session.vtnr),
        "TTY": _constant("s", session.tty),
        "Display": _constant("s", session.display),
        "Remote": _constant("b", session.remote),
        "RemoteHost": _constant("s", session.remote_host),
        "RemoteUser": _constant("s", ""),
    }


def _idle_properties(sessions: Callable[[], list[Session]]) -> dict[str, Property]:
    """An idle hint over sessions: idle since the last of them is."""

    def since() -> Moment:
        return max(
            (each.idle_since for each in sessions()), default=Moment(), key=lambda each: each.monotonic
        )

    return {
        "IdleHint": Property("b", lambda: all(each.idle for each in sessions())),
        "IdleSinceHint": Property("t", lambda: since().realtime),
        "IdleSinceHintMonotonic": Property("t", lambda: since().monotonic),
    }


def _timestamps(moment: Moment) -> dict[str, Property]:
    return {
        "Timestamp": _constant("t", moment.realtime),
        "TimestampMonotonic": _constant("t", moment.monotonic),
    }


def _constant(signature: str, value: Any) -> Property:
    return Property(signature, lambda: value)


def _reference(session: Session | None) -> tuple[str, str]:
    return (session.id, names.session_path(session.id)) if session else NOTHING
