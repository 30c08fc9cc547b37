"""What hosts keep the session from going idle by: bounded in number, each until it is ended or its time is over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from guestmux_session.desktop.inhibit_means import Means
from guestmux_session.errors import CommandError
from guestmux_session.pulse import Pulse

MAX_HELD = 16
"""At a time: a desktop shows each to its user, and one is enough."""

SETTLE_SECONDS = 5.0
"""Seconds for the ways to say whether they work; one that hangs is not waited for."""

FOREVER = float("inf")


class Held:
    """One reason.

    Attributes:
        number: the host's name for it.
        deadline: when it ends, of the event loop's clock; FOREVER for none.
    """

    def __init__(self, number: int, reason: str, seconds: float) -> None:
        self.number = number
        self.reason = reason
        self.deadline = anyio.current_time() + seconds
        self._states: dict[str, tuple[str, str]] = {}
        self._changed = Pulse()

    @property
    def by(self) -> list[str]:
        """By whom it is held at the moment."""
        return sorted(by for by, _lack in self._states.values() if by)

    @property
    def lacks(self) -> str:
        """Why it is not held by the others."""
        return "; ".join(lack for _by, lack in self._states.values() if lack)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.deadline - anyio.current_time()

    def renew(self, seconds: float) -> None:
        """Its time begins anew; 0 ends it."""
        self.deadline = anyio.current_time() + seconds
        self._changed.beat()

    def tell(self, name: str, by: str, lack: str) -> None:
        """One of the ways says whether it is held."""
        self._states[name] = by, lack
        self._changed.beat()

    async def settled(self, ways: int) -> None:
        """Wait until so many ways have said whether they work; SETTLE_SECONDS at most."""
        with anyio.move_on_after(SETTLE_SECONDS):
            while len(self._states) < ways:
                await self._changed.wait()

    async def over(self) -> None:
        """Wait until its time is over."""
        while self.left > 0:
            with anyio.move_on_after(self.left):
                await self._changed.wait()


class Inhibitors:
    """All of them.

    Args:
        ways: by which the session is kept from going idle, all at once: one does not know what another is good for.
    """

    def __init__(self, ways: Sequence[Means]) -> None:
        self._ways = ways
        self._held: dict[int, Held] = {}
        self._numbers = itertools.count(1)
        self._group: TaskGroup | None = None

    def __iter__(self) -> Iterator[Held]:
        return iter([*self._held.values()])

    async def run(self) -> None:
        """Hold them, for as long as the agent runs."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                await anyio.sleep_forever()
            finally:
                self._group = None

    async def begin(self, reason: str, seconds: float = FOREVER) -> Held:
        """Keep the session from going idle.

        Raises:
            CommandError: there are too many, or nothing here can do it.
        """
        if self._group is None:
            raise CommandError("the agent is stopping")
        if len(self._held) >= MAX_HELD:
            raise CommandError(f"{MAX_HELD} reasons keep the session from going idle already; end one first")
        held = Held(next(self._numbers), reason, seconds)
        self._held[held.number] = held
        try:
            await self._group.start(self._hold, held)
        except BaseException:
            self._held.pop(held.number, None)
            raise
        if not held.by:
            self.end(held.number)
            raise CommandError(f"nothing here keeps the session from going idle: {held.lacks or 'no answer'}")
        return held

    def get(self, number: int) -> Held:
        """One of them. Raises CommandError where there is none of that number."""
        held = self._held.get(number)
        if held is None:
            raise CommandError(
                f"nothing keeps the session from going idle by the number {number}; it may be over"
            )
        return held

    def end(self, number: int) -> None:
        """End one, if it is not over."""
        if held := self._held.pop(number, None):
            held.renew(0)

    async def _hold(self, held: Held, *, task_status: TaskStatus[None]) -> None:
        try:
            async with anyio.create_task_group() as group:
                for way in self._ways:
                    group.start_soon(way.hold, held.reason, partial(held.tell, way.name))
                await held.settled(len(self._ways))
                task_status.started()
                await held.over()
                group.cancel_scope.cancel()
        finally:
            self._held.pop(held.number, None)
