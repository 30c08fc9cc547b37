"""Whether file systems are frozen, and what may be asked of an agent then. It decides, others act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

FREEZING = frozenset({"guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list"})
"""Commands after which file systems may be frozen."""

STATUS = "guest-fsfreeze-status"
"""The command that tells."""

THAW = "guest-fsfreeze-thaw"
"""The command that ends it."""

ROUTED_WHILE_FROZEN = frozenset({STATUS, THAW})
"""What goes to an agent while file systems are frozen, of qemu-ga's own list (ga_freeze_allowlist in qga/main.c).

The others of that list, and all else that eventd answers from memory, touch no file system.
"""


class FreezeGate:
    """Shut while file systems are frozen, or may be: whoever touches one would hang until the thaw."""

    def __init__(self) -> None:
        self._under_way = 0
        self._frozen = False
        self._told = False
        self._watchers: list[Callable[[bool], object]] = []
        self._preparations: list[Callable[[], Awaitable[object]]] = []

    def __repr__(self) -> str:
        return f"<FreezeGate {'FROZEN' if self.frozen else 'THAWED'}>"

    @property
    def frozen(self) -> bool:
        """Whether file systems are frozen, or are being frozen."""
        return self._frozen or self._under_way > 0

    def admits(self, command: str) -> bool:
        """Whether a command may go to an agent now."""
        return not (self._frozen or self._under_way) or command in ROUTED_WHILE_FROZEN

    def watch(self, changed: Callable[[bool], object]) -> None:
        """Have `changed` called with True when it shuts, before anything is frozen, and with False when it opens."""
        self._watchers.append(changed)

    def before_freezing(self, prepare: Callable[[], Awaitable[object]]) -> None:
        """Have something done and ended before anything is frozen."""
        self._preparations.append(prepare)

    async def prepare(self) -> None:
        """Do all of that."""
        for prepare in self._preparations:
            await prepare()

    def freezing(self) -> None:
        """The system agent is about to be told to freeze."""
        self._under_way += 1
        self._tell()

    def freeze_ended(self, value: Any) -> None:
        """It answered.

        Args:
            value: the number of frozen file systems; None where it did not say: taken for frozen until it does.
        """
        self._under_way -= 1
        self._frozen = value is None or value > 0
        self._tell()

    def thawed(self) -> None:
        """The system agent answered guest-fsfreeze-thaw."""
        self._frozen = False
        self._tell()

    def status(self, value: Any) -> None:
        """The system agent answered guest-fsfreeze-status."""
        self._frozen = value == "frozen"
        self._tell()

    def _tell(self) -> None:
        if self._told != self.frozen:
            self._told = self.frozen
            for changed in self._watchers:
                changed(self._told)
