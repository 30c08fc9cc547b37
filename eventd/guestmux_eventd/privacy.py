"""What of an event does not leave the guest. Decided where events are taken in: what is withheld is kept nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from guestmux_eventd.identity import BACKEND, SYSTEM
from guestmux_eventd.privacy_rules import BY_DEFAULT, EVERYTHING, KEPT, PrivacyRule
from guestmux_eventd.session_table import NO_USER, SessionTable
from guestmux_protocol.patterns import EventFilter
from guestmux_protocol.registry import EventType

_MAX_REMEMBERED = 4096

Whose = Callable[[str], tuple[str, str]]
"""Gives the class of a session and its user's name, of one that has just ended as well; both empty for no session."""


class Cut:
    """What is taken from an event.

    Attributes:
        drop: whether there is no event at all.
        names: the members that are withheld, EVERYTHING among them maybe.
    """

    __slots__ = ("drop", "names")

    def __init__(self, names: Iterable[str], *, drop: bool) -> None:
        self.names = frozenset(names)
        self.drop = drop

    def __repr__(self) -> str:
        return f"<Cut {'everything: no event' if self.drop else ' '.join(sorted(self.names))}>"

    def has(self, member: str) -> bool:
        """Whether a member is withheld."""
        return member not in KEPT and (EVERYTHING in self.names or member in self.names)

    def apply(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """The data that may leave; None: there is no event."""
        return None if self.drop else {name: value for name, value in data.items() if not self.has(name)}


class Privacy:
    """All rules. Withholding and dropping win, whatever allows; the order of the tables does not count.

    Args:
        rules: the tables, checked.
        whose: tells about sessions; asked only where a rule depends on it.
    """

    def __init__(self, rules: Sequence[PrivacyRule] = (), whose: Whose = lambda _session: ("", "")) -> None:
        self._rules = [(EventFilter(rule.events), rule) for rule in rules]
        self._defaults = [(EventFilter(rule.events), rule) for rule in BY_DEFAULT]
        self._whose = whose
        self._general: dict[str, Cut | None] = {}
        self._particular: dict[tuple[str, str, str], Cut | None] = {}

    def __repr__(self) -> str:
        return f"<Privacy {len(self._rules)} rules>"

    def of(self, name: str, session: str) -> Cut | None:
        """What is taken from an event; None, nearly always: nothing. Costs a look into a dictionary then.

        Args:
            name: the event.
            session: the session that it is about; empty for none.
        """
        try:
            return self._general[name]
        except KeyError:
            return self._look_up(name, session)

    def cut(self, name: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """The data of an event of eventd's own that may leave; None: there is no event."""
        cut = self.of(name, data.get("session", ""))
        return cut.apply(data) if cut else data

    def told(self, names: Iterable[str], session: str) -> tuple[dict[str, list[str]], list[str]]:
        """For an agent to know: by event what is withheld of it, and which events are none."""
        cuts = {name: cut for name in names if (cut := self.of(name, session))}
        withheld = {name: sorted(cut.names) for name, cut in cuts.items() if not cut.drop}
        return withheld, [name for name, cut in cuts.items() if cut.drop]

    def cut_sessions(self, sessions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """A snapshot's sessions: each tells what its SESSION_LOGIN would tell, and no more."""
        cut = [self.cut("SESSION_LOGIN", session) for session in sessions]
        return [{**NO_USER, **session} for session in cut if session is not None]

    def described(self, event: EventType) -> EventType:
        """An event as hosts may get it: what is withheld of it, from whomever, need not be there."""
        about = [*self._about(event.name, self._rules), *self._about(event.name, self._defaults)]
        cut = Cut((member for rule in about for member in rule.withhold), drop=False)
        members = tuple(
            replace(member, required=False) if cut.has(member.name) else member
            for member in event.data.members
        )
        return replace(event, data=replace(event.data, members=members)) if about else event

    def _look_up(self, name: str, session: str) -> Cut | None:
        about = self._about(name, self._rules)
        if not any(rule.particular for rule in about):
            return _remember(self._general, name, self._decide(name, about))
        whose = self._whose(session) if session else ("", "")
        key = (name, *whose)
        if key in self._particular:
            return self._particular[key]
        rules = [rule for rule in about if rule.concerns(*whose)]
        return _remember(self._particular, key, self._decide(name, rules))

    def _decide(self, name: str, rules: Sequence[PrivacyRule]) -> Cut | None:
        default = {member for rule in self._about(name, self._defaults) for member in rule.withhold}
        names = {member for rule in rules for member in rule.withhold}
        names |= default - {member for rule in rules for member in rule.allow}
        drop = any(rule.drop for rule in rules)
        return Cut(names, drop=drop) if names or drop else None

    def _about(self, name: str, rules: Iterable[tuple[EventFilter, PrivacyRule]]) -> list[PrivacyRule]:
        return [rule for events, rule in rules if name in events]


def whose_in(sessions: SessionTable) -> Whose:
    """Tell about the sessions of a table, and what stands for one."""

    def whose(session_id: str) -> tuple[str, str]:
        if session_id in (SYSTEM, BACKEND):
            return session_id, "root"
        session = sessions.recall(session_id)
        return (session.session_class, session.user) if session else ("", "")

    return whose


def _remember(where: dict[Any, Cut | None], key: Any, cut: Cut | None) -> Cut | None:
    if len(where) >= _MAX_REMEMBERED:
        # Agents declare names of their own, without end.
        where.clear()
    where[key] = cut
    return cut
