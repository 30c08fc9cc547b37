"""Telling whoever waits that a table changed."""

from __future__ import annotations

import anyio


class Changes:
    """A broadcast without content: waiters look for themselves."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        event, self._next = self._next, anyio.Event()
        event.set()

    async def wait(self) -> None:
        """Return at the next `notify`."""
        await self._next.wait()

    async def come_to_rest(self, quiet: float, at_most: float) -> None:
        """Return when there was no `notify` for a while.

        Args:
            quiet: seconds without one.
            at_most: seconds after which it returns in any case.
        """
        with anyio.move_on_after(at_most):
            while True:
                with anyio.move_on_after(quiet) as rest:
                    await self.wait()
                if rest.cancelled_caught:
                    return
