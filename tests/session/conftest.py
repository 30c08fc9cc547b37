"""Fixtures of the agent tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from guestmux_session import Agent
from tests.support.dbus_daemon import PrivateBus, private_bus

Running = Callable[[Agent], AbstractAsyncContextManager[anyio.CancelScope]]


@pytest.fixture
def system_bus() -> Iterator[PrivateBus]:
    """A bus in the place of the system bus."""
    with private_bus() as bus:
        yield bus


@pytest.fixture
def session_bus() -> Iterator[PrivateBus]:
    """A bus in the place of a user's session bus."""
    with private_bus() as bus:
        yield bus


@asynccontextmanager
async def _running(agent: Agent) -> AsyncIterator[anyio.CancelScope]:
    async with anyio.create_task_group() as group:
        group.start_soon(agent.run)
        yield group.cancel_scope
        group.cancel_scope.cancel()


@pytest.fixture
def running() -> Running:
    """Runs an agent for as long as a block lasts; gives the scope that stops it."""
    return _running
