"""A private bus and connections to it, for the tests of the D-Bus adapter; each runs on both libraries."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_limits import DEFAULT_BUS_LIMITS, BusLimits
from tests.support.bare_library import LIBRARIES, installed
from tests.support.dbus_daemon import PrivateBus, private_bus

Connect = Callable[..., Awaitable[Bus]]


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    installed(name)
    return name


@pytest.fixture
def daemon() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@pytest.fixture
async def connect(daemon: PrivateBus, library: str) -> AsyncIterator[Connect]:
    """Give a function that connects to the daemon until the test ends."""
    async with AsyncExitStack() as stack:

        async def connect_to_daemon(
            *, limits: BusLimits = DEFAULT_BUS_LIMITS, address: str = daemon.address
        ) -> Bus:
            return await stack.enter_async_context(connect_bus(address, library=library, limits=limits))

        yield connect_to_daemon


@pytest.fixture
async def client(connect: Connect) -> Bus:
    return await connect()


@pytest.fixture
async def service(connect: Connect) -> Bus:
    return await connect()
