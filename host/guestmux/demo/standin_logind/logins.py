"""Who is logged in: the tables behind the stand-in's objects. Every change returns what is to be told on the bus.

The order of the signals is that of logind-session.c, logind-seat.c and logind-user.c in systemd 252.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from guestmux.demo.standin_logind import names
from guestmux.demo.standin_logind.effects import Changed, Effect, Signal
from guestmux.demo.standin_logind.records import Moment, Seat, Session, User, session_members
from guestmux_transport.errors import MethodError

IDLE_PROPERTIES = ("IdleHint", "IdleSinceHint", "IdleSinceHintMonotonic")
"""They change together."""


class Logins:
    """Sessions, their users and seats."""

    def __init__(self, now: Callable[[], Moment]) -> None:
        """Begin with nobody logged in and one seat, seat0.

        Args:
            now: the clock.
        """
        self._now = now
        self._numbers = itertools.count(1)
        self.sessions: dict[str, Session] = {}
        self.users: dict[int, User] = {}
        self.seats: dict[str, Seat] = {"seat0": Seat("seat0")}

    def session(self, session: str) -> Session:
        """Find a session.

        Raises:
            MethodError: there is none of that id.
        """
        try:
            return self.sessions[session]
        except KeyError:
            raise MethodError(names.NO_SUCH_SESSION, f"No session '{session}' known") from None

    def user(self, uid: int) -> User:
        """Find a user.

        Raises:
            MethodError: he has no session.
        """
        try:
            return self.users[uid]
        except KeyError:
            raise MethodError(names.NO_SUCH_USER, f"User ID {uid} is not logged in or lingering") from None

    def seat(self, seat: str) -> Seat:
        """Find a seat.

        Raises:
            MethodError: there is none of that name.
        """
        try:
            return self.seats[seat]
        except KeyError:
            raise MethodError(names.NO_SUCH_SEAT, f"No seat '{seat}' known") from None

    def sessions_of_user(self, uid: int) -> list[Session]:
        """A user's sessions, the newest first, as logind lists them."""
        return [session for session in reversed(self.sessions.values()) if session.uid == uid]

    def sessions_of_seat(self, seat: str) -> list[Session]:
        """A seat's sessions, the newest first, as logind lists them."""
        return [session for session in reversed(self.sessions.values()) if session.seat == seat]

    def is_active(self, session: Session) -> bool:
        """Whether it is in its seat's foreground; one without a seat always is (session_is_active)."""
        return not session.seat or self.seats[session.seat].active is session

    def session_state(self, session: Session) -> str:
        """The state: online, active or closing (session_get_state)."""
        if session.closing:
            return "closing"
        return "active" if self.is_active(session) else "online"

    def user_state(self, user: User) -> str:
        """The best of his sessions' states (user_get_state)."""
        states = [self.session_state(session) for session in self.sessions_of_user(user.uid)]
        return next((state for state in ("active", "online") if state in states), "closing")

    def display_of(self, user: User) -> Session | None:
        """The session that stands for the user: of class user, graphical before text, active before not."""
        candidates = [
            session
            for session in self.sessions_of_user(user.uid)
            if session.session_class == "user" and not session.closing
        ]
        return max(candidates, key=lambda each: (each.graphical, self.is_active(each)), default=None)

    def login(
        self, user: str, uid: int, options: Mapping[str, Any], *, session: str = "", activate: bool = True
    ) -> tuple[Session, list[Effect]]:
        """Begin a session.

        Args:
            user: the user's name.
            uid: his number.
            options: what else is to be said of the session, see LOGIN_OPTIONS.
            session: its id; where empty the next free one, as logind counts where there is no audit.
            activate: bring it to the foreground of its seat, as a display manager does by switching the VT.

        Raises:
            MethodError: an option that is unknown or of the wrong kind, or an id that is taken.
        """
        record = self._record(user, uid, options, session)
        effects = self._user_came(record)
        if record.seat:
            self.seats.setdefault(record.seat, Seat(record.seat))
        self.sessions[record.id] = record
        effects.append(_announced(record, "SessionNew"))
        effects.append(Changed(names.user_path(uid), names.USER, ("Display",)))
        if activate and record.seat:
            effects += self.set_active(record.seat, record.id)
        return record, effects

    def remove(self, session: str) -> list[Effect]:
        """The session is gone (session_finalize), and its user with his last one."""
        record = self.sessions.pop(session)
        effects: list[Effect] = [_announced(record, "SessionRemoved")]
        seat = self.seats.get(record.seat)
        if seat is not None and seat.active is record:
            seat.active = None
            effects.append(Changed(names.seat_path(seat.id), names.SEAT, ("ActiveSession",)))
        return effects + self._user_left(record)

    def forget_user(self, uid: int) -> bool:
        """Drop a user who has no session left, once that was told; says whether that is so."""
        if self.sessions_of_user(uid):
            return False
        return self.users.pop(uid, None) is not None

    def set_active(self, seat: str, session: str) -> list[Effect]:
        """Bring a session of a seat to the foreground, or none where `session` is empty (seat_set_active)."""
        record = self.seat(seat)
        coming = self.session(session) if session else None
        if coming is not None and coming.seat != seat:
            raise MethodError(names.NOT_SUPPORTED, f"Session '{session}' is not on seat '{seat}'")
        leaving, record.active = record.active, coming
        if leaving is coming:
            return []
        changed = [each for each in (leaving, coming) if each is not None]
        effects: list[Effect] = [_changed(each, "Active") for each in changed]
        return [*effects, Changed(names.seat_path(seat), names.SEAT, ("ActiveSession",))]

    def set_idle(self, session: str, *, idle: bool) -> list[Effect]:
        """Take a session's idle hint; only a graphical one has any (session_set_idle_hint)."""
        record = self.session(session)
        if not record.graphical:
            text = "Idle hint control is not supported on non-graphical sessions."
            raise MethodError(names.NOT_SUPPORTED, text)
        if record.idle == idle:
            return []
        record.idle, record.idle_since = idle, self._now()
        return self._idle_changes(record)

    def set_locked(self, session: str, *, locked: bool) -> list[Effect]:
        """Take a session's locked hint, as a screen locker gives it (session_set_locked_hint)."""
        record = self.session(session)
        if record.locked == locked:
            return []
        record.locked = locked
        return [_changed(record, "LockedHint")]

    def ask_to_lock(self, session: str, *, lock: bool) -> list[Effect]:
        """Ask the session's screen locker (session_send_lock). Where it has one, it obeys at once."""
        record = self.session(session)
        asked = Signal(names.session_path(session), names.SESSION, "Lock" if lock else "Unlock")
        return [asked, *(self.set_locked(session, locked=lock) if record.locker else ())]

    def _record(self, user: str, uid: int, options: Mapping[str, Any], session: str) -> Session:
        if session in self.sessions:
            raise MethodError(names.INVALID_ARGS, f"Session '{session}' exists already")
        free = (f"c{number}" for number in self._numbers if f"c{number}" not in self.sessions)
        try:
            members = session_members(options)
        except ValueError as error:
            raise MethodError(names.INVALID_ARGS, str(error)) from None
        return Session(id=session or next(free), uid=uid, user=user, began=self._now(), **members)

    def _user_came(self, session: Session) -> list[Effect]:
        if session.uid in self.users:
            return []
        self.users[session.uid] = User(session.uid, session.user, session.began)
        return [_user_signal("UserNew", session.uid)]

    def _user_left(self, session: Session) -> list[Effect]:
        effects: list[Effect] = [Changed(names.user_path(session.uid), names.USER, ("Display",))]
        if self.sessions_of_user(session.uid):
            return effects
        # Told as long as the object is there, which is until UserRemoved.
        return [*effects, _user_signal("UserRemoved", session.uid)]

    def _idle_changes(self, session: Session) -> list[Effect]:
        effects: list[Effect] = [_changed(session, *IDLE_PROPERTIES)]
        if session.seat:
            effects.append(Changed(names.seat_path(session.seat), names.SEAT, IDLE_PROPERTIES))
        effects.append(Changed(names.user_path(session.uid), names.USER, IDLE_PROPERTIES))
        return [*effects, Changed(names.MANAGER_PATH, names.MANAGER, IDLE_PROPERTIES)]


def _announced(session: Session, member: str) -> Signal:
    body = (session.id, names.session_path(session.id))
    return Signal(names.MANAGER_PATH, names.MANAGER, member, "so", body)


def _user_signal(member: str, uid: int) -> Signal:
    return Signal(names.MANAGER_PATH, names.MANAGER, member, "uo", (uid, names.user_path(uid)))


def _changed(session: Session, *properties: str) -> Changed:
    return Changed(names.session_path(session.id), names.SESSION, properties)
