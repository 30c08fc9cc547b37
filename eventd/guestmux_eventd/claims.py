"""Who says that a session is locked, or idle: logind, and the agents in it. Hosts hear of each change once.

What logind says is verified and always told. What agents say stands beside it: it is told by itself only where logind
says nothing, and otherwise as a member of logind's event where the two disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET

from guestmux_eventd.agent_table import Agent
from guestmux_eventd.refusal import DENIED, INVALID_ARGUMENT, Refusal
from guestmux_eventd.session_table import Emission, SessionTable, session_ref
from guestmux_protocol.events import (
    CLAIMED,
    LOGIND,
    VERIFIED,
    SessionIdle,
    SessionLock,
    SessionLogout,
    SessionUnlock,
)
from guestmux_protocol.registry import Data
from guestmux_protocol.sessions import Session

AGREE_SECONDS = 1.0
"""Seconds in which those who say something about a session may come to say the same, before hosts are told that they
do not: a screen locker tells logind and its other listeners within some ms. It bounds what a program that changes its
mind all the time makes of events as well."""

MAX_CLAIMS = 8
"""What one agent says about one thing; a session has one screen locker, or two."""

MAX_NAME = 64
"""Characters of what an agent calls the one who says it: names of desktops' services have some thirty."""

What = Literal["locked", "idle"]
"""What can be claimed."""

_WHATS: dict[str, What] = {"locked": "locked", "idle": "idle"}


class Publish(Protocol):
    """Takes events."""

    def __call__(self, emissions: list[Emission], source: str = VERIFIED) -> object:
        """Take them; `source` is theirs."""


class Timer(Protocol):
    """What was asked for later."""

    def cancel(self) -> None:
        """It is not needed any more."""


Later = Callable[[float, Callable[[], None]], Timer]


def call_later(seconds: float, callback: Callable[[], None]) -> Timer:
    """Call something later, on the running loop."""
    return asyncio.get_running_loop().call_later(seconds, callback)


@dataclass
class _Standing:
    """What is said about one thing of one session.

    Attributes:
        claims: by agent, what each of its sources says.
        held: an event of logind's that waits for the agents to agree.
        told: hosts were told that it is so, on the agents' word alone.
        over: logind has said that it is over, and the agents go on saying that it is not.
        asked: hosts were told that logind was asked to, and that nothing confirmed it.
        ever: logind has said so once: it is told by the session's desktop.
        timer: runs while something waits to be decided.
    """

    claims: dict[str, dict[str, bool]] = field(default_factory=dict)
    held: SessionLock | SessionUnlock | None = None
    told: bool = False
    over: bool = False
    asked: bool = False
    ever: bool = False
    timer: Timer | None = None

    @property
    def said(self) -> dict[str, bool]:
        """What agents say, by who says it."""
        return {name: value for claims in self.claims.values() for name, value in claims.items()}

    @property
    def claimed(self) -> bool:
        """Whether any says that it is so."""
        return any(self.said.values())


class Claims:
    """Stands between logind's events and the log, and adds what agents say.

    Args:
        sessions: what logind says.
        publish: takes the events.
        later: calls back after some seconds.
    """

    def __init__(self, sessions: SessionTable, publish: Publish, later: Later = call_later) -> None:
        self._sessions = sessions
        self._publish = publish
        self._later = later
        self._standings: dict[tuple[str, What], _Standing] = {}

    def __repr__(self) -> str:
        return f"<Claims {len(self._standings)} standings>"

    def publish(self, emissions: list[Emission]) -> None:
        """Pass events of logind's on, with who says it."""
        passed = [one for name, data in emissions for one in self._pass_on(name, data)]
        if passed:
            self._publish(passed)

    def claim(self, agent: Agent, untrusted_what: str, untrusted_claims: Mapping[str, bool]) -> None:
        """Take in what an agent says about its session; it replaces what it said before.

        Args:
            agent: whose word it is.
            untrusted_what: `locked` or `idle`.
            untrusted_claims: by who says it, as the agent calls him, whether it is so; empty: it says nothing any more.

        Raises:
            Refusal: the session is not the agent's user's, there is no such thing, or too much is said.
        """
        session = self._sessions.get(agent.session)
        if session is None or session.uid != agent.identity.uid:
            raise Refusal(DENIED, "only an agent of a user's session may say what that session is like")
        what = _checked(untrusted_what, untrusted_claims)
        standing = self._standing(session.session, what)
        if not untrusted_claims:
            standing.claims.pop(agent.name, None)
        else:
            standing.claims[agent.name] = dict(untrusted_claims)
            standing.over = standing.over and standing.claimed
        self._settle_soon(session, what, standing)

    def told(self, session_id: str) -> list[What]:
        """What hosts were told to be so on the word of agents alone."""
        whats = _WHATS.values()
        return [what for what in whats if (one := self._standings.get((session_id, what))) and one.told]

    def agent_gone(self, agent: Agent) -> None:
        """What it said is not known any more; what hosts were told holds until somebody says otherwise."""
        for what in _WHATS.values():
            if standing := self._standings.get((agent.session, what)):
                standing.claims.pop(agent.name, None)

    def restore(
        self, session_id: str, what: What, how: Literal["confirmed", "unconfirmed", "claimed"]
    ) -> None:
        """Take in what the last run of eventd told to be so.

        Args:
            session_id: of a session.
            what: is so.
            how: by logind's word, because logind was asked to, or on the word of agents, who have to say it again.
        """
        standing = self._standing(session_id, what)
        standing.told, standing.asked = how == "claimed", how == "unconfirmed"
        standing.ever = how == "confirmed"

    def tell_now(self) -> None:
        """Tell what waits for agents to agree: eventd ends, or the machine is about to sleep."""
        for (session_id, _what), standing in self._standings.items():
            self._publish(self._release(session_id, standing))

    def _pass_on(self, name: str, data: Data) -> list[Emission]:
        if isinstance(data, SessionLogout):
            return [*self._forget(data.session), (name, data)]
        if isinstance(data, SessionIdle):
            return [(name, self._idle(data))]
        if isinstance(data, SessionLock | SessionUnlock):
            return self._lock(data)
        return [(name, data)]

    def _idle(self, data: SessionIdle) -> SessionIdle:
        standing = self._standing(data.session, "idle")
        standing.told, standing.ever = False, standing.ever or data.idle
        standing.over = not data.idle and standing.claimed
        return msgspec.structs.replace(data, said_by=_said_by(standing, data.idle, verified=data.idle))

    def _lock(self, data: SessionLock | SessionUnlock) -> list[Emission]:
        standing = self._standing(data.session, "locked")
        if not data.confirmed:
            return self._unconfirmed(data, standing)
        earlier = self._release(data.session, standing)
        standing.asked = standing.told = False
        standing.held = data
        if _agree(standing):
            return [*earlier, *self._release(data.session, standing)]
        self._start_timer(data.session, "locked", standing)
        return earlier

    def _unconfirmed(self, data: SessionLock | SessionUnlock, standing: _Standing) -> list[Emission]:
        locked = isinstance(data, SessionLock)
        # An agent's word that it is locked is told by itself, and so is its end.
        if standing.claimed if locked else not standing.asked:
            return []
        standing.asked = locked
        return [(_name(data), data)]

    def _release(self, session_id: str, standing: _Standing) -> list[Emission]:
        """The event that waits, if any."""
        data, standing.held = standing.held, None
        if data is None:
            return []
        locked = isinstance(data, SessionLock)
        standing.over = not locked and standing.claimed
        values = {LOGIND: locked, **standing.said}
        disagree = len(set(values.values())) > 1
        said_by = _said_by(standing, locked, verified=locked)
        whole = msgspec.structs.replace(data, said_by=said_by, values=values if disagree else UNSET)
        return [(_name(data), whole)]

    def _settle_soon(self, session: Session, what: What, standing: _Standing) -> None:
        if standing.held is not None:
            if _agree(standing):
                self._publish(self._release(session.session, standing))
        elif (now := self._change(session, what, standing)) is False:
            # Nobody disagrees.
            self._tell(session, what, standing, now=now)
        elif now:
            self._start_timer(session.session, what, standing)

    def _start_timer(self, session_id: str, what: What, standing: _Standing) -> None:
        if standing.timer is None:
            standing.timer = self._later(AGREE_SECONDS, lambda: self._settle(session_id, what, standing))

    def _settle(self, session_id: str, what: What, standing: _Standing) -> None:
        standing.timer = None
        session = self._sessions.get(session_id)
        if standing.held is not None:
            self._publish(self._release(session_id, standing))
        elif session is not None and self._change(session, what, standing):
            self._tell(session, what, standing, now=True)

    def _tell(self, session: Session, what: What, standing: _Standing, *, now: bool) -> None:
        standing.told, standing.asked = now, False
        self._publish([_claimed(session, what, standing, now=now)], CLAIMED)

    def _change(self, session: Session, what: What, standing: _Standing) -> bool | None:
        """What hosts are to be told on the agents' word alone; None: nothing."""
        verified = session.locked if what == "locked" else session.idle
        if verified or standing.over or not standing.said or standing.claimed == standing.told:
            return None
        # A desktop that tells logind when nobody is there tells it better than a clock of the agent's.
        if what == "idle" and standing.ever and not standing.told:
            return None
        return standing.claimed

    def _standing(self, session_id: str, what: What) -> _Standing:
        return self._standings.setdefault((session_id, what), _Standing())

    def _forget(self, session_id: str) -> list[Emission]:
        ended: list[Emission] = []
        for what in _WHATS.values():
            if standing := self._standings.pop((session_id, what), None):
                ended += self._release(session_id, standing)
                if standing.timer is not None:
                    standing.timer.cancel()
        return ended


def _checked(untrusted_what: str, untrusted_claims: Mapping[str, bool]) -> What:
    what = _WHATS.get(untrusted_what)
    if what is None:
        raise Refusal(INVALID_ARGUMENT, "what can be claimed is 'locked' and 'idle'")
    if len(untrusted_claims) > MAX_CLAIMS:
        raise Refusal(INVALID_ARGUMENT, f"at most {MAX_CLAIMS} claims")
    for untrusted_name in untrusted_claims:
        fits = 0 < len(untrusted_name) <= MAX_NAME and untrusted_name.isprintable()
        if not fits or untrusted_name == LOGIND:
            desc = f"who says it has 1 to {MAX_NAME} printable characters, and is not '{LOGIND}'"
            raise Refusal(INVALID_ARGUMENT, desc)
    return what


def _agree(standing: _Standing) -> bool:
    return set(standing.said.values()) <= {isinstance(standing.held, SessionLock)}


def _said_by(standing: _Standing, value: bool, *, verified: bool) -> list[str]:
    logind = [LOGIND] if verified == value else []
    return [*logind, *(name for name, says in standing.said.items() if says == value)]


def _claimed(session: Session, what: What, standing: _Standing, *, now: bool) -> Emission:
    """The event of a change that only agents tell of: logind says that it is not so."""
    ref, said_by = session_ref(session), _said_by(standing, now, verified=False)
    if what == "idle":
        return "SESSION_IDLE", SessionIdle(**ref, idle=now, said_by=said_by)
    if not now:
        return "SESSION_UNLOCK", SessionUnlock(**ref, confirmed=True, said_by=said_by)
    values = {LOGIND: False, **standing.said}
    return "SESSION_LOCK", SessionLock(**ref, confirmed=True, said_by=said_by, values=values)


def _name(data: SessionLock | SessionUnlock) -> str:
    return "SESSION_LOCK" if isinstance(data, SessionLock) else "SESSION_UNLOCK"
