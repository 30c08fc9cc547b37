"""The tables that say what of events does not leave the guest. They refuse to be written wrongly."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from guestmux_eventd.policy import SESSION_CLASSES
from guestmux_protocol.errors import GuestmuxError
from guestmux_protocol.events import EVENTS
from guestmux_protocol.patterns import EventFilter, PatternError

MAX_PRIVACY_RULES = 64
"""Tables: an event that is seen for the first time is looked up in all of them."""

MAX_NAMES = 64
"""Names in one list: more than an event has members."""

EVERYTHING = "*"
"""What stands for all members but KEPT."""

KEPT = frozenset({"epoch", "seq", "source", "session", "late", "subscription"})
"""What no rule withholds: without it a host cannot tell what it has, and which session an event is about."""

_DOWNSTREAM = "__"

Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=MAX_NAMES)]


class PrivacyError(GuestmuxError):
    """The tables cannot be meant as they are written. The text names the entry and what to do."""


class PrivacyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """One table.

    Args:
        events: globs over the events that it is about.
        session_class: the classes of sessions that it is about; all events, also those about no session, where it names
            none.
        users: globs over the names of the users that it is about; all events where it names none.
        withhold: members of the data that do not leave the guest; EVERYTHING for all but KEPT.
        allow: members that may leave although they are withheld by default, unless something else withholds them.
        drop: True: it is no event: it gets no number, is kept nowhere, and no host hears of it.
    """

    events: Annotated[list[str], Meta(min_length=1)]
    session_class: Annotated[list[str], Meta(max_length=len(SESSION_CLASSES))] = []
    users: Names = []
    withhold: Names = []
    allow: Names = []
    drop: bool = False

    @property
    def particular(self) -> bool:
        """Whether it depends on whose session an event is about."""
        return bool(self.session_class or self.users)

    def concerns(self, session_class: str, user: str) -> bool:
        """Whether it is about this class of session and this user; both are empty for no session."""
        if self.session_class and session_class not in self.session_class:
            return False
        return not self.users or any(user and fnmatch.fnmatchcase(user, glob) for glob in self.users)

    def describe(self) -> str:
        """It in one line."""
        whose = [*self.session_class, *(f"user:{glob}" for glob in self.users)]
        does = [
            *(["drop"] if self.drop else []),
            *([f"withhold {' '.join(self.withhold)}"] if self.withhold else []),
            *([f"allow {' '.join(self.allow)}"] if self.allow else []),
        ]
        return f"{' '.join(self.events)}, {' '.join(whose) or 'all sessions'}; {'; '.join(does)}"


BY_DEFAULT: Final = (PrivacyRule(events=["APP_*"], withhold=["title"]),)
"""What is withheld unless a table allows it: a window's title is content, of documents, mails and pages."""

NUMBERED: Final = {
    name: frozenset(member.name for member in event.data.members)
    for name, event in EVENTS.items()
    if event.keep != "none"
}
"""The members of guestmux's own events, the stock agent's included; those about the stream itself are not for rules."""


def check_privacy(rules: Sequence[PrivacyRule], known: Mapping[str, Iterable[str]] = NUMBERED) -> None:
    """Check that every entry can be meant as it is written.

    Args:
        rules: the tables.
        known: the events that are not other people's, with their members.

    Raises:
        PrivacyError: a pattern is none or matches no event; a member is in no event that the table is about, or cannot
            be withheld, or is allowed though nothing withholds it; a class of sessions is none; a table does nothing.
    """
    for number, rule in enumerate(rules, 1):
        place = f"privacy {number}"
        try:
            EventFilter(rule.events)
        except PatternError as error:
            raise PrivacyError(f"{place}: events: {error}") from error
        _check_effect(place, rule)
        _check_classes(place, rule)
        _check_events(place, rule, known)
        _check_members(place, rule, known)


def _check_effect(place: str, rule: PrivacyRule) -> None:
    if not (rule.drop or rule.withhold or rule.allow):
        raise PrivacyError(f"{place}: it neither withholds, nor allows, nor drops anything")
    if rule.drop and (rule.withhold or rule.allow):
        raise PrivacyError(f"{place}: what is dropped has nothing left to withhold or to allow")


def _check_classes(place: str, rule: PrivacyRule) -> None:
    for name in rule.session_class:
        if name not in SESSION_CLASSES:
            raise PrivacyError(f"{place}: session-class: '{name[:64]}' is none{_hint(name, SESSION_CLASSES)}")


def _check_events(place: str, rule: PrivacyRule, known: Mapping[str, Iterable[str]]) -> None:
    for pattern in rule.events:
        # Names with two underscores are other people's: nobody can know them before an agent registers.
        if not pattern.startswith(_DOWNSTREAM) and not fnmatch.filter(known, pattern):
            raise PrivacyError(f"{place}: events: '{pattern}' matches no event{_hint(pattern, known)}")


def _check_members(place: str, rule: PrivacyRule, known: Mapping[str, Iterable[str]]) -> None:
    members = {member for name in known if name in EventFilter(rule.events) for member in known[name]}
    others = any(pattern.startswith(_DOWNSTREAM) for pattern in rule.events)
    for name in rule.withhold:
        if name in KEPT:
            raise PrivacyError(
                f"{place}: withhold: '{name}' cannot be withheld: hosts find their place by it"
            )
        if name != EVERYTHING and not others and name not in members | {"agent"}:
            raise PrivacyError(f"{place}: withhold: no event there has a '{name}'{_hint(name, members)}")
    withheld = {name for default in BY_DEFAULT for name in default.withhold if _overlap(default, rule, known)}
    for name in rule.allow:
        if name not in withheld:
            raise PrivacyError(f"{place}: allow: '{name}' of these events is not withheld by default")


def _overlap(one: PrivacyRule, other: PrivacyRule, known: Iterable[str]) -> bool:
    return any(name in EventFilter(one.events) and name in EventFilter(other.events) for name in known)


def _hint(wrong: str, right: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, right, 1)
    return f"; is '{near[0]}' meant?" if near else ""
