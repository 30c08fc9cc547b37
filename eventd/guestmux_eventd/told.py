"""What hosts were told that still holds. The journal keeps it, so that the next run of eventd tells only differences.

A row says of one session, one seat or one agent how it stands by the last event about it; each event changes one row at
most. What privacy rules withheld from the events is in no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from guestmux_eventd.session_table import NO_USER
from guestmux_protocol.events import CLAIMED
from guestmux_protocol.sessions import Session

Row = tuple[str, bytes]
"""A key, and what stands there: JSON text."""

Change = tuple[str, bytes | None]
"""What becomes of a row by an event; None: it goes."""

MAX_BYTES = 2 << 20
"""Of all rows where nothing else is said: some 5,000 sessions. What has no room is told again by the next run."""


class ToldSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session whose SESSION_LOGIN was told, and no SESSION_LOGOUT since.

    Attributes:
        login: the data of its SESSION_LOGIN.
        boot: the boot of the machine that it is of; empty where that was not known.
        locked: what SESSION_LOCK and SESSION_UNLOCK made of it; `claimed`: on the word of agents alone.
        idle: what SESSION_IDLE made of it.
    """

    login: dict[str, Any]
    boot: str = ""
    locked: Literal["", "confirmed", "unconfirmed", "claimed"] = ""
    idle: Literal["", "confirmed", "claimed"] = ""

    def session(self) -> Session:
        """The session as it was told by logind's word; what was withheld from its login is not known.

        Raises:
            msgspec.ValidationError: the login is none.
        """
        members = {"locked": self.locked == "confirmed", "idle": self.idle == "confirmed"}
        return msgspec.convert({**NO_USER, **self.login, **members}, Session)


class ToldSeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A seat in whose foreground there is a session."""

    seat: str
    session: str
    boot: str = ""


class ToldAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent whose AGENT_REGISTERED was told, and no AGENT_GONE since."""

    session: str
    agent: str


Standing = ToldSession | ToldSeat | ToldAgent

_KINDS: dict[str, type[Standing]] = {"session": ToldSession, "seat": ToldSeat, "agent": ToldAgent}
"""By the first word of a key."""

_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in _KINDS.values()
}

_write = msgspec.json.Encoder().encode

Kind = TypeVar("Kind", bound=Standing)


class Told:
    """The rows. Synchronous; `rows` may be called by any thread.

    Args:
        boot: names the present boot of the machine; empty where it is not known.
        max_bytes: of all rows.
    """

    def __init__(self, boot: str = "", max_bytes: int = MAX_BYTES) -> None:
        self.boot = boot
        self._max_bytes = max_bytes
        self._rows: dict[str, bytes] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Told {len(self._rows)} rows {self._bytes} bytes>"

    def rows(self) -> list[Row]:
        """All rows, as they are at one moment."""
        return list(self._rows.items())

    def load(self, rows: Iterable[Row]) -> None:
        """Take over what the last run had told; what cannot be read will be told again."""
        for key, text in rows:
            kind = _KINDS.get(key.partition(" ")[0])
            if kind is not None and _is_readable(kind, text):
                self._put(key, text)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All of one kind."""
        return [
            _read(kind, text) for key, text in self._rows.items() if _KINDS[key.partition(" ")[0]] is kind
        ]

    def take(self, name: str, data: dict[str, Any], source: str) -> Change | None:
        """Take in an event of eventd's own that is told.

        Args:
            name: the event's name.
            data: its data, without what is withheld.
            source: `verified` or `claimed`.

        Returns:
            what it changes; None: nothing.
        """
        taking = _TAKING.get(name)
        if taking is None or not taking.members <= data.keys():
            return None
        change = taking.change(self, data, source)
        return None if change is None else self._put(*change)

    def session(self, session_id: str) -> ToldSession | None:
        """A session, if it was told."""
        text = self._rows.get(f"session {session_id}")
        return None if text is None else _read(ToldSession, text)

    def _put(self, key: str, text: bytes | None) -> Change | None:
        """Change a row as far as there is room; returns what becomes of it, None: it never was there."""
        before = self._rows.get(key)
        size = self._bytes - (len(key) + len(before) if before is not None else 0)
        if text is not None and size + len(key) + len(text) <= self._max_bytes:
            self._bytes = size + len(key) + len(text)
            self._rows[key] = text
            return key, text
        self._bytes = size
        return None if self._rows.pop(key, None) is None else (key, None)


def _read(kind: type[Kind], text: bytes) -> Kind:
    standing: Kind = _DECODERS[kind].decode(text)
    return standing


def _is_readable(kind: type[Standing], text: bytes) -> bool:
    try:
        standing = _read(kind, text)
        if isinstance(standing, ToldSession):
            standing.session()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _login(told: Told, data: dict[str, Any], _source: str) -> Change:
    return f"session {data['session']}", _write(ToldSession(login=data, boot=told.boot))


def _logout(_told: Told, data: dict[str, Any], _source: str) -> Change:
    return f"session {data['session']}", None


def _lock(told: Told, data: dict[str, Any], source: str) -> Change | None:
    if source == CLAIMED:
        return _of_session(told, data, locked="claimed")
    return _of_session(told, data, locked="confirmed" if data.get("confirmed", True) else "unconfirmed")


def _unlock(told: Told, data: dict[str, Any], _source: str) -> Change | None:
    return _of_session(told, data, locked="")


def _idle(told: Told, data: dict[str, Any], source: str) -> Change | None:
    how = "claimed" if source == CLAIMED else "confirmed"
    return _of_session(told, data, idle=how if data["idle"] else "")


def _of_session(told: Told, data: dict[str, Any], **members: Any) -> Change | None:
    session = told.session(data["session"])
    if session is None:
        return None
    return f"session {data['session']}", _write(msgspec.structs.replace(session, **members))


def _active(told: Told, data: dict[str, Any], _source: str) -> Change:
    key, session = f"seat {data['seat']}", data.get("session", "")
    return key, _write(ToldSeat(seat=data["seat"], session=session, boot=told.boot)) if session else None


def _registered(_told: Told, data: dict[str, Any], _source: str) -> Change:
    return _agent_key(data), _write(ToldAgent(session=data["session"], agent=data["agent"]))


def _gone(_told: Told, data: dict[str, Any], _source: str) -> Change:
    return _agent_key(data), None


def _agent_key(data: dict[str, Any]) -> str:
    return f"agent {data['session']} {data['agent']}"


class _Taking(NamedTuple):
    """What an event changes, and the members of its data without which it changes nothing: they may be withheld."""

    change: Callable[[Told, dict[str, Any], str], Change | None]
    members: frozenset[str]


_TAKING = {
    "SESSION_LOGIN": _Taking(_login, frozenset({"session"})),
    "SESSION_LOGOUT": _Taking(_logout, frozenset({"session"})),
    "SESSION_LOCK": _Taking(_lock, frozenset({"session"})),
    "SESSION_UNLOCK": _Taking(_unlock, frozenset({"session"})),
    "SESSION_IDLE": _Taking(_idle, frozenset({"session", "idle"})),
    "SESSION_ACTIVE": _Taking(_active, frozenset({"seat"})),
    "AGENT_REGISTERED": _Taking(_registered, frozenset({"session", "agent"})),
    "AGENT_GONE": _Taking(_gone, frozenset({"session", "agent"})),
}
