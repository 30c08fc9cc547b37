"""The clipboards of a real X server, beside programs that people use them with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clipboards import Clipboards
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

XCLIP = ("xclip", "-quiet", "-selection", "clipboard")


@pytest.fixture
async def agent(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        yield agent


@pytest.fixture
def clipboards(bare_x: XServer, tmp_path: Path, agent: DesktopAgent) -> Clipboards:
    return Clipboards(bare_x, tmp_path, agent)


async def test_text_of_a_program(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer("grüße".encode(), *XCLIP)
    got = await agent.call("session-clipboard-get")
    assert got == {"format": "text/plain", "size": 7, "text": "grüße"}


async def test_text_for_a_program(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="grüße")
    assert await clipboards.paste(*XCLIP, "-o") == "grüße".encode()
