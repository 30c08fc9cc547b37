"""The host's view of the guest: every event as it comes, and what is expected of them."""

from __future__ import annotations

import time
from typing import Any, Final

import anyio

import guestmux
from guestmux.demo.errors import NotHeld
from guestmux.demo.latency import Latencies
from guestmux.demo.view import View

PATIENCE: Final = 8.0
"""Seconds in which an expected event has to come; on an idle machine all take well under one."""


class EventWatch:
    """Follows a stream of events.

    Args:
        view: where they are shown.
        patience: seconds in which an expected event has to come.

    Attributes:
        latencies: from eventd's stamp to the host, by two clocks where the guest has one of its own.
        faults: what a stream of events should not do, as far as it was seen.
        may_end: the guest is about to switch itself off, and the connection to end with it.
    """

    def __init__(self, view: View, patience: float = PATIENCE) -> None:
        self._view = view
        self._patience = patience
        self._open: list[guestmux.Event] = []
        self._came = anyio.Event()
        self._last_seq: int | None = None
        self.latencies = Latencies()
        self.faults: list[str] = []
        self.may_end = False

    async def follow(self, stream: guestmux.EventStream) -> None:
        """Show every event of a stream, for as long as it lasts."""
        async for item in stream:
            if isinstance(item, guestmux.Event):
                self._take(item)
            elif not self.may_end:
                self.faults.append(f"the stream of events was not whole: {item}")

    def forget(self) -> None:
        """Expect nothing of what came so far."""
        self._open.clear()

    async def expect(self, name: str, **members: Any) -> guestmux.Event:
        """Wait for an event that nobody waited for before, or take it when it came already.

        Args:
            name: the event's.
            members: of its data; an underscore stands for a hyphen.

        Raises:
            NotHeld: it did not come in time.
        """
        wanted = {member.replace("_", "-"): value for member, value in members.items()}
        with anyio.move_on_after(self._patience):
            while True:
                for event in self._open:
                    if event.name == name and wanted.items() <= event.data.items():
                        self._open.remove(event)
                        return event
                await self._came.wait()
        told = " ".join(f"{member}={value}" for member, value in wanted.items())
        raise NotHeld(f"{name} {told} did not come within {self._patience:g} s")

    def _take(self, event: guestmux.Event) -> None:
        sent = event.seconds + event.microseconds / 1_000_000
        self._view.event(event, self.latencies.add((time.time() - sent) * 1000))
        if self._last_seq is not None and event.seq != self._last_seq + 1:
            self.faults.append(f"event {event.seq} came after {self._last_seq}")
        self._last_seq = event.seq
        self._open.append(event)
        self._came.set()
        self._came = anyio.Event()
