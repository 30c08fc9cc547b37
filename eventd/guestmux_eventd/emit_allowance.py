"""How fast each bus client may emit. Who leaves and comes back, or sends another in its place, finds what it left."""

from __future__ import annotations

from collections.abc import Callable

from guestmux_eventd.token_bucket import TokenBucket

BURST_SECONDS = 2.0
"""Seconds of the rate that may be used up at once."""

MAX_USERS = 256
"""Users whose used buckets are kept before all are looked through for such as are full again."""


class EmitAllowance:
    """Gives out token buckets, and takes them back: a user has as many as agents at a time, however many come and go.

    Args:
        rate: events a second that one client may emit.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._used: dict[int, list[TokenBucket]] = {}

    def __repr__(self) -> str:
        return f"<EmitAllowance {self._rate:.0f}/s, {sum(map(len, self._used.values()))} used>"

    def take(self, uid: int) -> TokenBucket:
        """A bucket for a client of a user's: one that another left behind, else a full one."""
        left = self._not_full(uid)
        return left.pop() if left else TokenBucket(self._rate, self._rate * BURST_SECONDS, self._clock)

    def give_back(self, uid: int, bucket: TokenBucket) -> None:
        """The client has no agent any more."""
        self._used[uid] = [*self._not_full(uid), bucket]
        if len(self._used) > MAX_USERS:
            self._used = {each: left for each in tuple(self._used) if (left := self._not_full(each))}

    def _not_full(self, uid: int) -> list[TokenBucket]:
        left = [bucket for bucket in self._used.pop(uid, ()) if not bucket.is_full]
        if left:
            self._used[uid] = left
        return left
