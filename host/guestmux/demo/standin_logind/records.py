"""One session, user and seat, with the members that logind's objects show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GRAPHICAL_TYPES: Final = frozenset({"x11", "wayland", "mir"})


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks, in microseconds: since the epoch, and since boot."""

    realtime: int = 0
    monotonic: int = 0


@dataclass(slots=True, eq=False)
class Session:
    """A login. Members are named as logind's properties are."""

    id: str
    uid: int
    user: str
    began: Moment
    type: str = "x11"
    session_class: str = "user"
    seat: str = "seat0"
    vtnr: int = 0
    tty: str = ""
    display: str = ""
    remote: bool = False
    remote_host: str = ""
    service: str = "standin-logind"
    desktop: str = ""
    leader: int = 0
    locker: bool = True
    idle: bool = False
    idle_since: Moment = field(default_factory=Moment)
    locked: bool = False
    closing: bool = False
    processes: set[int] = field(default_factory=set)

    @property
    def graphical(self) -> bool:
        """Whether it has windows; only such a session keeps an idle hint."""
        return self.type in GRAPHICAL_TYPES

    @property
    def scope(self) -> str:
        """The systemd unit that it would be."""
        return f"session-{self.id}.scope"


@dataclass(slots=True, eq=False)
class User:
    """Somebody with at least one session."""

    uid: int
    name: str
    began: Moment


@dataclass(slots=True, eq=False)
class Seat:
    """A set of screens and keyboards; at most one of its sessions is in the foreground."""

    id: str
    active: Session | None = None


LOGIN_OPTIONS: Final[Mapping[str, tuple[str, type]]] = {
    "type": ("type", str),
    "class": ("session_class", str),
    "seat": ("seat", str),
    "vtnr": ("vtnr", int),
    "tty": ("tty", str),
    "display": ("display", str),
    "remote": ("remote", bool),
    "remote-host": ("remote_host", str),
    "service": ("service", str),
    "desktop": ("desktop", str),
    "leader": ("leader", int),
    "locker": ("locker", bool),
}
"""What Login's options may say of a session: the option, its member and its kind."""


def session_members(options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn Login's options into members of Session.

    Raises:
        ValueError: an unknown option, or a value of the wrong kind; the text says which.
    """
    members: dict[str, Any] = {}
    for name, value in options.items():
        if name not in LOGIN_OPTIONS:
            raise ValueError(f"unknown option {name!r}; there are: id, activate, {', '.join(LOGIN_OPTIONS)}")
        member, kind = LOGIN_OPTIONS[name]
        if type(value) is not kind:
            raise ValueError(f"option {name!r} takes {kind.__name__}")
        members[member] = value
    return members
