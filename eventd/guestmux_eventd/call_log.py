"""What hosts called in users' sessions, counted for these users to see; in memory alone, and never with arguments."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

MAX_USERS = 64
"""Users about whom something is remembered: those in whose sessions something was called last."""

MAX_KINDS = 512
"""Kinds of calls remembered of one user, the latest, some 200 bytes each: as many as a host finds commands for."""

Key = TypeVar("Key")
Value = TypeVar("Value")

Kind = tuple[str, str, str, str]
"""Session, command, outcome, port."""


class Called:
    """Calls of one kind.

    Attributes:
        count: how many there were.
        first: when the first of them ended; seconds since the epoch.
        last: when the last did.
    """

    __slots__ = ("count", "first", "last")

    def __init__(self, now: float) -> None:
        self.count = 1
        self.first = self.last = now

    def again(self, now: float) -> None:
        """One more."""
        self.count += 1
        self.last = now


class CallLog:
    """The calls by user and kind: a host that wants to hide one finds not enough other kinds to push it out by.

    Args:
        clock: the wall clock, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._users: dict[int, dict[Kind, Called]] = {}

    def __repr__(self) -> str:
        return f"<CallLog {len(self._users)} users>"

    def add(self, uid: int, session: str, command: str, outcome: str, port: str) -> None:
        """A call in a session of a user's ended.

        Args:
            uid: the user.
            session: logind's id.
            command: what was called.
            outcome: `done`, `failed` or `cancelled`.
            port: the address of the port that the host was on.
        """
        kinds = _latest(self._users, uid)
        if kinds is None:
            kinds = _enter(self._users, uid, {}, MAX_USERS)
        kind, now = (session, command, outcome, port), self._clock()
        if called := _latest(kinds, kind):
            called.again(now)
        else:
            _enter(kinds, kind, Called(now), MAX_KINDS)

    def of(self, uid: int) -> list[tuple[Kind, Called]]:
        """The calls in a user's sessions, each kind by its latest, the latest last."""
        return list(self._users.get(uid, {}).items())

    def users(self) -> list[int]:
        """The users whose calls are remembered."""
        return list(self._users)


def _latest(table: dict[Key, Value], key: Key) -> Value | None:
    """What is there, now the latest."""
    value = table.pop(key, None)
    if value is not None:
        table[key] = value
    return value


def _enter(table: dict[Key, Value], key: Key, value: Value, most: int) -> Value:
    """Enter what is not there, in the place of the oldest where there are too many."""
    if len(table) >= most:
        del table[next(iter(table))]
    table[key] = value
    return value
