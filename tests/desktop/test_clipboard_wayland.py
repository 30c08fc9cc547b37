"""The clipboards of a real Wayland compositor, beside programs that people use them with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clipboards import Clipboards
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.sway import Sway

pytestmark = pytest.mark.anyio


@pytest.fixture
async def agent(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        yield agent


@pytest.fixture
def clipboards(wayland: Sway, agent: DesktopAgent) -> Clipboards:
    return Clipboards(wayland, Path(wayland.environment["XDG_RUNTIME_DIR"]), agent)


async def test_text_of_a_program(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer("grüße".encode(), "wl-copy", "--foreground")
    got = await agent.call("session-clipboard-get")
    assert got == {"format": "text/plain", "size": 7, "text": "grüße"}


async def test_text_for_a_program(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="grüße")
    assert await clipboards.paste("wl-paste", "--no-newline") == "grüße".encode()
