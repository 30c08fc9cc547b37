"""The sessions that logind told of, and the events that their changes are. Synchronous: it decides, others act."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from guestmux_protocol import events
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.events import LogoutReason
from guestmux_protocol.registry import Data
from guestmux_protocol.sessions import Session

MAX_SESSIONS = 4096
"""logind itself stops at 8192 sessions (SessionsMax); a guest with half as many is broken already."""

MAX_ENDED = 1024
"""Sessions that ended and are still known, for what comes after: their agents leave, their users ask what was told."""

SILENT_CLASSES = frozenset({"manager", "manager-early", "background", "background-light", "none"})
"""Session classes in which nobody sits: user managers and cron jobs."""

NOBODY: Final = (1 << 32) - 1
"""(uid_t)-1, which is no user's."""

NO_USER: Final = {"user": "", "uid": NOBODY}
"""What stands for what is withheld and cannot be left out."""

UNSEEN: Final = "unseen"
REBOOT: Final = "reboot"

Remembered = TypeVar("Remembered")

Emission = tuple[str, Data]
"""An event to emit: its name and its data."""


class SessionNotFound(GuestmuxError):
    """A host named a session that does not exist."""


class SessionTable:
    """Every session of the guest in which somebody may sit."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._ended: dict[str, Session] = {}
        self._shared: dict[str, None] = {}
        self._foreground: dict[str, str] = {}
        self._unnamed: set[str] = set()
        self._unconfirmed: set[str] = set()

    def __repr__(self) -> str:
        return f"<SessionTable {' '.join(self._sessions)}>"

    def __contains__(self, session: str) -> bool:
        return session in self._sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def get(self, session: str) -> Session | None:
        """The session, if there is such a one."""
        return self._sessions.get(session)

    def recall(self, session_id: str) -> Session | None:
        """The session, also where it has ended: one of the last MAX_ENDED."""
        return self._sessions.get(session_id) or self._ended.get(session_id)

    def owner(self, session_id: str) -> int | None:
        """The uid whose session it is or was; None where that is not known, or where the id was two users'."""
        session = None if session_id in self._shared else self.recall(session_id)
        return session.uid if session else None

    def ids(self) -> list[str]:
        """The ids of all sessions, in the order of their coming."""
        return list(self._sessions)

    def add(self, session: Session) -> list[Emission]:
        """Take in a new session, or a known one's state after the bus was gone."""
        known = self._sessions.get(session.session)
        if known is not None and _is_another(known, session):
            # A logind that lost its state gives ids anew.
            return [*self.remove(session.session, UNSEEN), *self.add(session)]
        if known is not None:
            changes = {name: getattr(session, name) for name in session.__struct_fields__}
            return self.change(session.session, changes)
        if session.session_class in SILENT_CLASSES or len(self._sessions) >= MAX_SESSIONS:
            return []
        self._enter(session)
        emissions: list[Emission] = [("SESSION_LOGIN", _login(session))]
        if session.locked:
            emissions.append(("SESSION_LOCK", events.SessionLock(**session_ref(session), confirmed=True)))
        if session.idle:
            emissions.append(("SESSION_IDLE", events.SessionIdle(**session_ref(session), idle=True)))
        return emissions

    def restore(self, session: Session, *, unconfirmed: bool = False) -> None:
        """Take in a session of which the last run of eventd told; nothing is told of what is as it was.

        Args:
            session: as it was told. Without a `login_time`, and with the uid NOBODY, where that was not told.
            unconfirmed: whether it was told that logind was asked to lock it.
        """
        self._enter(session)
        if unconfirmed:
            self._unconfirmed.add(session.session)

    def restore_foreground(self, seat: str, session_id: str) -> None:
        """Take in which session the last run of eventd told to be in a seat's foreground."""
        self._foreground[seat] = session_id

    def remove(self, session_id: str, reason: LogoutReason | UnsetType = UNSET) -> list[Emission]:
        """A session ended.

        Args:
            session_id: which.
            reason: why it is told now, where nobody saw it end.
        """
        session = self._sessions.pop(session_id, None)
        self._unconfirmed.discard(session_id)
        if session is None:
            return []
        self._ended.pop(session_id, None)
        _put(self._ended, session_id, session)
        return [("SESSION_LOGOUT", events.SessionLogout(**session_ref(session), reason=reason))]

    def keep_only(self, alive: set[str]) -> list[Emission]:
        """End every session that is not among these; after the bus was gone."""
        return [emission for gone in self._sessions.keys() - alive for emission in self.remove(gone, UNSEEN)]

    def change(self, session_id: str, changes: dict[str, Any]) -> list[Emission]:
        """Take over changed members of a session."""
        before = self._sessions.get(session_id)
        if before is None:
            return []
        after = msgspec.structs.replace(before, **changes)
        self._sessions[session_id] = after
        return [*self._lock_events(before, after), *self._idle_events(before, after)]

    def lock_unconfirmed(self, session_id: str) -> list[Emission]:
        """Logind was asked to lock a session, and no screen locker said in time that it is locked."""
        session = self._sessions.get(session_id)
        if session is None or session.locked or session_id in self._unconfirmed:
            return []
        self._unconfirmed.add(session_id)
        return [("SESSION_LOCK", events.SessionLock(**session_ref(session), confirmed=False))]

    def unlock_requested(self, session_id: str) -> list[Emission]:
        """Logind was asked to unlock a session; an event only where a screen locker will say nothing."""
        session = self._sessions.get(session_id)
        if session is None or session_id not in self._unconfirmed:
            return []
        self._unconfirmed.discard(session_id)
        return [("SESSION_UNLOCK", events.SessionUnlock(**session_ref(session), confirmed=False))]

    def set_foreground(self, seat: str, session_id: str) -> list[Emission]:
        """A seat shows another session; an empty id for none.

        One that is not known, since logind left before it could be asked, is told as none until it is.
        """
        session = self._sessions.get(session_id)
        is_known_now = session is not None and seat in self._unnamed
        if self._foreground.get(seat, "") == session_id and not is_known_now:
            return []
        self._foreground[seat] = session_id
        if session is None:
            self._unnamed.add(seat)
            return [("SESSION_ACTIVE", events.SessionActive(seat=seat))]
        self._unnamed.discard(seat)
        active = events.SessionActive(seat=seat, session=session_id, user=session.user, uid=session.uid)
        return [("SESSION_ACTIVE", active)]

    def select(self, untrusted_selector: str) -> str:
        """The id of the session that a host means.

        Args:
            untrusted_selector: a logind id, `active` (the foreground of seat0), or `user:NAME`
                (the user's foreground session, else the one begun last).

        Raises:
            SessionNotFound: there is none now.
        """
        if untrusted_selector == "active":
            session_id = self._foreground.get("seat0", "")
        elif untrusted_selector.startswith("user:"):
            session_id = self._of_user(untrusted_selector.removeprefix("user:"))
        else:
            session_id = untrusted_selector
        if session_id not in self._sessions:
            raise SessionNotFound(f"{_lack(untrusted_selector)}; guest-get-sessions lists them")
        return session_id

    def _enter(self, session: Session) -> None:
        before = self._ended.get(session.session)
        if before and before.uid != session.uid:
            _put(self._shared, session.session, None)
        self._sessions[session.session] = session

    def _of_user(self, user: str) -> str:
        theirs = [session for session in self._sessions.values() if session.user == user]
        theirs.sort(key=lambda session: (session.session_class == "user", session.active, session.login_time))
        return theirs[-1].session if theirs else ""

    def _lock_events(self, before: Session, after: Session) -> list[Emission]:
        if before.locked == after.locked:
            return []
        # A lock that was told as unconfirmed is told again: now it is known to hold.
        self._unconfirmed.discard(after.session)
        if not after.locked:
            return [("SESSION_UNLOCK", events.SessionUnlock(**session_ref(after), confirmed=True))]
        return [("SESSION_LOCK", events.SessionLock(**session_ref(after), confirmed=True))]

    def _idle_events(self, before: Session, after: Session) -> list[Emission]:
        if before.idle == after.idle:
            return []
        return [("SESSION_IDLE", events.SessionIdle(**session_ref(after), idle=after.idle))]


def _is_another(known: Session, session: Session) -> bool:
    """Whether two sessions with the same id are not the same, by what is known of the first."""
    other_user = known.uid not in (NOBODY, session.uid)
    return other_user or known.login_time not in (0.0, session.login_time)


def _lack(untrusted_selector: str) -> str:
    """Why a selector has no session."""
    if untrusted_selector == "active":
        return "no session is in the foreground of seat0"
    if untrusted_selector.startswith("user:"):
        return f"user '{untrusted_selector.removeprefix('user:')[:128]}' has no session"
    return f"there is no session '{untrusted_selector[:128]}'"


def _put(table: dict[str, Remembered], key: str, value: Remembered) -> None:
    """Remember something, and forget the oldest where there is too much."""
    table[key] = value
    if len(table) > MAX_ENDED:
        del table[next(iter(table))]


def session_ref(session: Session) -> dict[str, Any]:
    """The members of every event about a session."""
    ref = {"session": session.session, "user": session.user, "uid": session.uid}
    return {**ref, "seat": session.seat} if session.seat else ref


def _login(session: Session) -> events.SessionLogin:
    return events.SessionLogin(
        **session_ref(session),
        type=session.type,
        session_class=session.session_class,
        tty=session.tty or UNSET,
        desktop=session.desktop or UNSET,
        service=session.service or UNSET,
        remote=session.remote,
        remote_host=session.remote_host or UNSET,
        login_time=session.login_time or UNSET,
    )
