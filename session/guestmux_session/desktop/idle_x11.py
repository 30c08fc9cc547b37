"""Idleness on X11: the server's own counter, and alarms on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from guestmux_session.desktop import sync_wire as sync
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.x11_connection import X11Connection
from guestmux_session.desktop.x11_wire import extension_of, query_extension


class X11Idle:
    """The SYNC extension's IDLETIME.

    Args:
        connection: to the X server.
    """

    name = "x11-sync"

    def __init__(self, connection: X11Connection) -> None:
        self._x11 = connection

    async def is_offered(self) -> bool:
        """Whether the server counts idle time. Raises DisplayError."""
        try:
            await self._find()
        except DisplayUnavailable:
            return False
        return True

    async def follow(self, seconds: float, tell: Callable[[bool], None]) -> None:
        """Tell when the counter goes over the threshold, and under it."""
        major, counter, first_event = await self._find()
        threshold = int(seconds * 1000)

        def on_alarm(event: bytes) -> None:
            _alarm, value = sync.alarm_of(event)
            tell(value >= threshold)

        code = first_event + sync.ALARM_NOTIFY
        self._x11.listen(code, on_alarm, patient=True)
        try:
            async with self._alarms(major, counter, threshold):
                tell(await self._value(major, counter) >= threshold)
                await self._x11.wait_lost()
        finally:
            self._x11.unlisten(code, on_alarm)
        raise DisplayLost(f"lost the display server: {self._x11.lost_reason}")

    async def idle_for(self) -> float | None:
        """The counter's value."""
        major, counter, _first_event = await self._find()
        return await self._value(major, counter) / 1000

    async def _value(self, major: int, counter: int) -> int:
        return sync.value_of(await self._x11.ask(sync.query_counter(major, counter)))

    async def _find(self) -> tuple[int, int, int]:
        """The extension's opcode, the counter, and the extension's first event."""
        found = await self._x11.ask(query_extension(sync.EXTENSION))
        major = extension_of(found)
        if major is None:
            raise DisplayUnavailable("the X server has no SYNC extension")
        await self._x11.ask(sync.initialize(major))
        counter = sync.counter_of(await self._x11.ask(sync.list_counters(major)), sync.IDLE_COUNTER)
        if counter is None:
            raise DisplayUnavailable("the X server does not count idle time")
        return major, counter, sync.first_event_of(found)

    @asynccontextmanager
    async def _alarms(self, major: int, counter: int, threshold: int) -> AsyncIterator[None]:
        alarms = {self._x11.new_id(): rising for rising in (True, False)}
        try:
            for alarm, rising in alarms.items():
                self._x11.tell(sync.create_alarm(major, alarm, counter, threshold, rising=rising))
            yield
        finally:
            for alarm in alarms:
                if self._x11.lost_reason is None:
                    self._x11.tell(sync.destroy_alarm(major, alarm))
                self._x11.free_id(alarm)
