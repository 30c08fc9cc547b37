"""Which commands the site's policy allows, by port and by class of session. Refuses to be written wrongly."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from guestmux_eventd.identity import BACKEND, SYSTEM
from guestmux_protocol.errors import GuestmuxError

MAX_RULES = 64
"""Tables of one policy: each routed command is looked up in all of them once."""

MAX_PATTERNS = 256
"""Patterns of one list: more than there are commands."""

ALWAYS = frozenset({"guest-sync", "guest-sync-delimited", "guest-ping", "guest-info", "qmp_capabilities"})
"""What no policy refuses: without them no host finds its place in the stream, or learns what it may do."""

OPT_IN = frozenset({"guest-connect"})
"""What is refused unless a table enables it: a host gets into the guest's own network by it."""

SESSION_CLASSES = frozenset(
    {
        *("user", "user-early", "user-light", "user-early-light", "user-incomplete"),
        *("greeter", "lock-screen", SYSTEM, BACKEND),
    }
)
"""logind's classes of sessions that agents are in (sd_session_get_class(3)), and what stands for one: `system` for the
system agent, `qemu-ga` for a stock qemu-ga."""

_MAX_REMEMBERED = 4096
_PATTERN = re.compile(r"[A-Za-z0-9_.*?-]+")
_DOWNSTREAM = "__"

Patterns = Annotated[list[str], Meta(max_length=MAX_PATTERNS)]


class PolicyError(GuestmuxError):
    """The policy cannot be meant as it is written. The text names the entry and what to do."""


class PolicyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """One table of the policy.

    Args:
        port: a glob over the ports' addresses, as they are configured.
        session_class: the classes of sessions that it is about, `system` for the system agent; all where it names
            none. One that names some does not concern what eventd answers itself.
        allow: globs over commands; where there are any, what none of them matches is refused.
        deny: globs over commands to refuse, whoever allows them.
        enable: commands of OPT_IN that may run where it is about them, unless something else refuses them.
    """

    port: str = "*"
    session_class: Annotated[list[str], Meta(max_length=len(SESSION_CLASSES))] = []
    allow: Patterns | None = None
    deny: Patterns = []
    enable: Patterns = []

    def concerns(self, port: str, session_class: str) -> bool:
        """Whether it is about a command from this port to this class of session."""
        if self.session_class and session_class not in self.session_class:
            return False
        return fnmatch.fnmatchcase(port, self.port)

    def describe(self) -> str:
        """It in one line."""
        classes = " ".join(self.session_class) or "all sessions"
        allow = "" if self.allow is None else f"; allow {' '.join(self.allow) or 'nothing'}"
        deny = f"; deny {' '.join(self.deny)}" if self.deny else ""
        enable = f"; enable {' '.join(self.enable)}" if self.enable else ""
        return f"{self.port}, {classes}{allow}{deny}{enable}"


class Policy:
    """The whole policy. Deny wins over allow; where nothing concerns a command it is allowed, unless it is of OPT_IN.

    Args:
        rules: its tables.
        always: commands that no rule refuses.

    Raises:
        PolicyError: a pattern is none.
    """

    def __init__(self, rules: Sequence[PolicyRule] = (), *, always: frozenset[str] = ALWAYS) -> None:
        for place, pattern in _patterns(rules):
            if not _PATTERN.fullmatch(pattern):
                raise PolicyError(
                    f"{place}: '{pattern[:64]}' is no pattern: letters, digits, '_', '-', '.', '*' and '?', "
                    f"each command an item of its own"
                )
        self._rules = tuple(rules)
        self._always = always
        self._remembered: dict[tuple[str, str, str], bool] = {}

    def __repr__(self) -> str:
        return f"<Policy {len(self._rules)} rules>"

    def allows(self, command: str, port: str, session_class: str = "") -> bool:
        """Whether a command may run.

        Args:
            command: its name.
            port: the address of the port that it came from.
            session_class: of the session that it is for; `system` for the system agent; empty for eventd itself.
        """
        if command in self._always or not (self._rules or command in OPT_IN):
            return True
        key = (command, port, session_class)
        allowed = self._remembered.get(key)
        if allowed is None:
            allowed = self._decide(*key)
            if len(self._remembered) < _MAX_REMEMBERED:
                self._remembered[key] = allowed
        return allowed

    def _decide(self, command: str, port: str, session_class: str) -> bool:
        rules = [rule for rule in self._rules if rule.concerns(port, session_class)]
        if any(_matches(rule.deny, command) for rule in rules):
            return False
        if command in OPT_IN and not any(command in rule.enable for rule in rules):
            return False
        allowing = [rule.allow for rule in rules if rule.allow is not None]
        return not allowing or any(_matches(patterns, command) for patterns in allowing)


def check_policy(rules: Sequence[PolicyRule], known: Iterable[str]) -> None:
    """Check that every entry can be meant as it is written.

    Args:
        rules: the tables.
        known: every command that eventd knows of.

    Raises:
        PolicyError: a pattern matches no command, or only what cannot be refused; a class of sessions is none; a
            table allows, denies and enables nothing, or enables what needs no such thing.
    """
    names = sorted(known)
    Policy(rules)
    for number, rule in enumerate(rules, 1):
        if rule.allow is None and not (rule.deny or rule.enable):
            raise PolicyError(f"policy {number}: it neither allows nor denies anything, nor enables it")
        for name in rule.enable:
            if name not in OPT_IN:
                raise PolicyError(
                    f"policy {number}: enable: '{name[:64]}' is none of what has to be: {', '.join(sorted(OPT_IN))}"
                )
        for name in rule.session_class:
            if name not in SESSION_CLASSES:
                raise PolicyError(
                    f"policy {number}: session-class: '{name}' is none{_hint(name, SESSION_CLASSES)}"
                )
    for place, pattern in _patterns(rules):
        _check_pattern(place, pattern, names)


def check_policy_ports(rules: Sequence[PolicyRule], ports: Sequence[str]) -> None:
    """Check that every table is about a port that is served.

    Raises:
        PolicyError: it is about none.
    """
    for number, rule in enumerate(rules, 1):
        if ports and not fnmatch.filter(ports, rule.port):
            raise PolicyError(f"policy {number}: port: '{rule.port}' matches none of {', '.join(ports)}")


def _check_pattern(place: str, pattern: str, names: Sequence[str]) -> None:
    if pattern.startswith(_DOWNSTREAM):
        # Those names are other people's: nobody can know them before an agent registers.
        return
    matched = set(fnmatch.filter(names, pattern))
    if not matched:
        raise PolicyError(f"{place}: '{pattern}' matches no command{_hint(pattern, names)}")
    if place.endswith("deny") and matched <= ALWAYS:
        raise PolicyError(f"{place}: '{pattern}' cannot be refused: every host needs it")


def _hint(wrong: str, right: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, right, 1)
    return f"; is '{near[0]}' meant?" if near else ""


def _matches(patterns: Iterable[str], command: str) -> bool:
    return any(fnmatch.fnmatchcase(command, pattern) for pattern in patterns)


def _patterns(rules: Sequence[PolicyRule]) -> Iterable[tuple[str, str]]:
    for number, rule in enumerate(rules, 1):
        yield from ((f"policy {number}: allow", pattern) for pattern in rule.allow or ())
        yield from ((f"policy {number}: deny", pattern) for pattern in rule.deny)
