"""What logind really did, and when eventd was seen to know all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

Key = tuple[str, str]
"""What may change: (session, "alive" | "locked" | "idle"), (seat, "foreground") or ("power", "awake" | "on")."""

Value = bool | str


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed at logind.

    Attributes:
        time: seconds since the epoch, right before it was told on the bus.
        key: what.
        value: what it is now.
        user: whose session, where a session began.
    """

    time: float
    key: Key
    value: Value
    user: str = ""


@dataclass(frozen=True, slots=True)
class Sync:
    """A moment at which eventd had worked off all that logind had done.

    Attributes:
        time: when.
        epoch: of eventd's answer.
        seq: of eventd's answer: what it knew was in the events up to this number.
        changes: how many changes there had been.
        truth: how everything stood.
        breaks: how many breaks there had been.
    """

    time: float
    epoch: str
    seq: int
    changes: int
    truth: dict[Key, Value]
    breaks: int


@dataclass(slots=True)
class Ledger:
    """The truth.

    Attributes:
        changes: all that happened.
        truth: how everything stands; what is not there is False, or nobody.
        syncs: when eventd was seen to know it.
        breaks: the moments at which eventd may have missed something: it, logind, or the bus were away.
    """

    changes: list[Change] = field(default_factory=list)
    truth: dict[Key, Value] = field(default_factory=dict)
    syncs: list[Sync] = field(default_factory=list)
    breaks: list[float] = field(default_factory=list)

    def note(self, key: Key, value: Value, user: str = "") -> None:
        """Write down that something is as it is now; nothing where it was so before."""
        if (self.truth.get(key) or None) == (value or None):
            return
        self.changes.append(Change(time.time(), key, value, user))
        if value:
            self.truth[key] = value
        else:
            del self.truth[key]

    def end(self, session: str) -> None:
        """Write down that a session ended; what was true of it is of no interest any more."""
        self.changes.append(Change(time.time(), (session, "alive"), False))
        for key in [key for key in self.truth if key[0] == session]:
            del self.truth[key]

    def broke(self) -> None:
        """Write down that eventd may miss something now."""
        self.breaks.append(time.time())

    def synced(self, epoch: str, seq: int) -> None:
        """Write down that eventd knows all."""
        self.syncs.append(
            Sync(time.time(), epoch, seq, len(self.changes), dict(self.truth), len(self.breaks))
        )
