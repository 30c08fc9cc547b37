"""Keeps a connection to a bus, for as long as it is wanted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from guestmux_session.backoff import Backoff
from guestmux_session.news import News
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits
from guestmux_transport.errors import BusError

CONNECT_TIMEOUT = 10.0
"""Seconds until a bus has to know us; one that is being restarted accepts connections before it answers."""


async def keep_connected(
    address: str,
    use: Callable[[Bus], Awaitable[None]],
    *,
    news: News,
    backoff: Backoff,
    limits: BusLimits = DEFAULT_BUS_LIMITS,
) -> None:
    """Connect, use the connection, and connect again when it is gone; for ever.

    Args:
        address: a D-Bus address.
        use: is given each connection and cancelled when that is lost. When it returns, or raises BusError, the
            connection is closed and made again; anything else that it raises ends this.
        news: is told why there is no connection, once for each change.
        backoff: the waits between attempts.
        limits: what a connection may use up.
    """
    while True:
        backoff.attempt()
        try:
            async with connect_bus(address, timeout=CONNECT_TIMEOUT, limits=limits) as bus:
                await _use_until_lost(bus, use)
                news.tell(f"lost the bus: {bus.lost_reason or 'starting anew'}", logging.WARNING)
        except BusError as error:
            news.tell(str(error), logging.WARNING)
        await anyio.sleep(backoff.next())


async def _use_until_lost(bus: Bus, use: Callable[[Bus], Awaitable[None]]) -> None:
    failure: BusError | None = None

    async def guarded() -> None:
        nonlocal failure
        try:
            await use(bus)
        except BusError as error:
            failure = error
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(guarded)
        await bus.wait_lost()
        group.cancel_scope.cancel()
    if failure is not None and bus.lost_reason is None:
        raise failure
