"""The clipboards of a real Wayland compositor, beside programs that people use them with."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from guestmux_transport.errors import CallError
from tests.support.clipboards import Clipboards
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.sway import Sway

pytestmark = pytest.mark.anyio

BIG = bytes(range(256)) * 20_000
"""5 MB: more than a pipe holds."""

PASTE = ("wl-paste", "--no-newline")


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
    assert await clipboards.paste(*PASTE) == "grüße".encode()


@pytest.mark.parametrize("kind", ["text/html", "image/png", "application/x-color"])
async def test_other_formats(agent: DesktopAgent, clipboards: Clipboards, kind: str) -> None:
    content = b"<b>bold</b>" if kind == "text/html" else BIG
    await clipboards.offer(content, "wl-copy", "--foreground", "--type", kind, kind=kind)
    got = await agent.call("session-clipboard-get", format=kind)
    assert (got["text"].encode() if kind == "text/html" else base64.b64decode(got["data-b64"])) == content
    encoded = base64.b64encode(content).decode()
    await agent.call("session-clipboard-set", format=kind, data_b64=encoded, selection="primary")
    assert await clipboards.paste(*PASTE, "--primary", "--type", kind) == content


async def test_the_last_one_counts(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="first")
    await agent.call("session-clipboard-set", text="second")
    assert await clipboards.paste(*PASTE) == b"second"
    await clipboards.offer(b"third", "wl-copy", "--foreground", "--type", "a/b", kind="a/b")
    assert (await clipboards.until_there("a/b"))["sizes"] == {}
    await agent.call("session-clipboard-clear")
    await clipboards.until_there()


async def test_changes_are_told(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.clipboard_watched()
    await clipboards.offer(b"x", "wl-copy", "--foreground", "--type", "a/b", kind="a/b")
    told = await agent.until_told("CLIPBOARD_CHANGED", formats=["a/b"])
    assert told == {"selection": "clipboard", "formats": ["a/b"]}
    await agent.call("session-clipboard-set", text="größer", selection="primary")
    told = await agent.until_told("CLIPBOARD_CHANGED", sizes={"text/plain": 8})
    assert told["selection"] == "primary"


async def test_sizes_of_what_programs_have_copied_where_they_are_wanted(
    wayland: Sway,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus, clipboard_sizes=True) as agent:
        await agent.clipboard_watched()
        clipboards = Clipboards(wayland, Path(wayland.environment["XDG_RUNTIME_DIR"]), agent)
        clipboards.start(BIG, "wl-copy", "--foreground", "--type", "image/png")
        await agent.until_told("CLIPBOARD_CHANGED", sizes={"image/png": len(BIG)})


async def test_a_compositor_that_crashes_and_comes_back(
    agent: DesktopAgent, clipboards: Clipboards, wayland: Sway
) -> None:
    await agent.clipboard_watched()
    await agent.call("session-clipboard-set", text="lost")
    await anyio.to_thread.run_sync(wayland.crash)
    with pytest.raises(CallError, match="cannot be reached"):
        await agent.call("session-clipboard-get")
    await anyio.to_thread.run_sync(wayland.restart)
    await agent.call("session-clipboard-set", text="new")
    assert await clipboards.paste(*PASTE) == b"new"
    agent.forget()
    await agent.clipboard_watched()


async def test_an_agent_that_is_started_again_over_a_crash(
    wayland: Sway, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into(monkeypatch, wayland.environment)
    async with desktop_agent(system_bus, session_bus) as agent:
        await agent.watched()
        await agent.call("session-clipboard-set", text="lost")
    await anyio.to_thread.run_sync(wayland.crash)
    async with desktop_agent(system_bus, session_bus) as agent:
        agent.manager.want("APP_*", "CLIPBOARD_*")
        assert "No such file" in await agent.source()
        await anyio.to_thread.run_sync(wayland.restart)
        wayland.run("foot")
        await agent.until_told("APP_STARTED", app_id="foot")
        await agent.call("session-clipboard-set", text="new")
        assert (await agent.call("session-clipboard-get"))["text"] == "new"
