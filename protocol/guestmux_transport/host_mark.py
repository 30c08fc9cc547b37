"""What a device's bytes tell of which host is there: who waits for no greeting begins with 0xFF."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

JOINED_SECONDS: Final = 1.0
"""How long a host that began behind another one's bytes may be seen coming only then: later it is no other host."""

UNANSWERED_BYTES: Final = 4096
"""Most remembered of a host's beginning: what a virtio port gives in one read, and far more than a guest-sync."""


class HostMark:
    """Follows what comes from a device that shows its hosts late.

    Args:
        clock: tells the time in seconds.

    Attributes:
        unanswered: what came from the last 0xFF on, as long as nothing was written since.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.unanswered = b""
        self._clock = clock
        self._begun = False
        self._joined_until = float("-inf")

    def __repr__(self) -> str:
        return f"<HostMark unanswered={len(self.unanswered)} has_joined={self.has_joined}>"

    @property
    def has_joined(self) -> bool:
        """Whether a host began behind the bytes of another one a moment ago, whose leaving is to be seen yet."""
        return self._clock() <= self._joined_until

    def received(self, untrusted_data: bytes) -> None:
        """Take what came."""
        mark = untrusted_data.rfind(b"\xff")
        if mark >= 0:
            if mark or self._begun:
                self._joined_until = self._clock() + JOINED_SECONDS
            self.unanswered = untrusted_data[mark:]
        elif self.unanswered:
            self.unanswered += untrusted_data
        if len(self.unanswered) > UNANSWERED_BYTES:
            self.unanswered = b""
        self._begun = True
