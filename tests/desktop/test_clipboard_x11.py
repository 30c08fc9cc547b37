"""The clipboards of a real X server, beside programs that people use them with."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_session.session_config import ClipboardPolicy
from guestmux_transport.errors import CallError
from tests.support.clipboards import Clipboards
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.x_server import XServer

pytestmark = pytest.mark.anyio

XCLIP = ("xclip", "-quiet", "-selection", "clipboard")
BIG = bytes(range(256)) * 20_000
"""5 MB: xclip sends it by INCR."""


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
    assert await agent.clipboard_source() == "x11"


async def test_text_for_a_program(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="grüße")
    assert await clipboards.paste(*XCLIP, "-o") == "grüße".encode()
    assert await clipboards.paste("xsel", "--output", "--clipboard") == "grüße".encode()


async def test_text_for_a_program_that_knows_no_unicode(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="grüße")
    for kind in ("STRING", "TEXT"):
        assert await clipboards.paste(*XCLIP, "-o", "-noutf8", "-t", kind) == "grüße".encode("latin-1")
    await agent.call("session-clipboard-set", text="日本")
    assert await clipboards.paste(*XCLIP, "-o", "-t", "TEXT") == "日本".encode()
    assert b"STRING" not in (await clipboards.paste(*XCLIP, "-o", "-t", "TARGETS")).splitlines()


async def test_text_of_a_program_that_knows_no_unicode(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer("grüße".encode("latin-1"), *XCLIP, "-noutf8", "-t", "STRING")
    assert (await agent.call("session-clipboard-get"))["text"] == "grüße"


@pytest.mark.parametrize("kind", ["text/html", "image/png", "application/x-color"])
async def test_other_formats(agent: DesktopAgent, clipboards: Clipboards, kind: str) -> None:
    content = b"<b>bold</b>" if kind == "text/html" else bytes(range(256))
    await clipboards.offer(content, *XCLIP, "-t", kind, kind=kind)
    got = await agent.call("session-clipboard-get", format=kind)
    assert (got["text"].encode() if kind == "text/html" else base64.b64decode(got["data-b64"])) == content
    encoded = base64.b64encode(content).decode()
    await agent.call("session-clipboard-set", format=kind, data_b64=encoded, selection="primary")
    assert await clipboards.paste("xclip", "-o", "-t", kind) == content
    with pytest.raises(CallError, match=f"but as {kind}"):
        await agent.call("session-clipboard-get")


async def test_much_both_ways(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer(BIG, *XCLIP, "-t", "image/png", kind="image/png")
    got = await agent.call("session-clipboard-get", format="image/png")
    assert base64.b64decode(got["data-b64"]) == BIG
    text = base64.b64encode(BIG).decode()
    await agent.call("session-clipboard-set", text=text)
    assert await clipboards.paste(*XCLIP, "-o") == text.encode()
    listed = await agent.call("session-clipboard-list")
    assert listed == {"formats": ["text/plain"], "sizes": {"text/plain": len(text)}, "truncated": False}


async def test_many_ask_at_once(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer(BIG, *XCLIP, "-t", "image/png", kind="image/png")
    got: list[int] = []

    async def get() -> None:
        content = await agent.call("session-clipboard-get", format="image/png")
        got.append(content["size"])

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(get)
        for _ in range(5):
            assert (await agent.call("session-clipboard-list"))["formats"] == ["image/png"]
    assert got == [len(BIG)] * 3


async def test_what_is_marked_is_another(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await clipboards.offer(b"marked", "xsel", "--input", "--nodetach", "--primary", selection="primary")
    await agent.call("session-clipboard-set", text="copied")
    assert (await agent.call("session-clipboard-get", selection="primary"))["text"] == "marked"
    assert (await agent.call("session-clipboard-get"))["text"] == "copied"


async def test_the_last_one_counts(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="first")
    await agent.call("session-clipboard-set", text="second")
    assert await clipboards.paste(*XCLIP, "-o") == b"second"
    await clipboards.offer(b"third", *XCLIP, "-t", "a/b", kind="a/b")
    assert (await clipboards.until_there("a/b"))["sizes"] == {}
    await agent.call("session-clipboard-clear")
    assert await agent.call("session-clipboard-list") == {"formats": [], "sizes": {}, "truncated": False}
    with pytest.raises(CallError, match="there is no content"):
        await agent.call("session-clipboard-get")


async def test_what_was_set_outlives_eventd(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.call("session-clipboard-set", text="kept")
    await agent.manager.release(await agent.manager.agent())
    assert await clipboards.paste(*XCLIP, "-o") == b"kept"


async def test_changes_are_told(agent: DesktopAgent, clipboards: Clipboards) -> None:
    await agent.clipboard_watched()
    await clipboards.offer(b"x", *XCLIP, "-t", "text/html", kind="text/html")
    told = await agent.until_told("CLIPBOARD_CHANGED", formats=["text/html"])
    assert told == {"selection": "clipboard", "formats": ["text/html"]}
    await agent.call("session-clipboard-set", text="größer", selection="primary")
    told = await agent.until_told("CLIPBOARD_CHANGED", sizes={"text/plain": 8})
    assert told == {"selection": "primary", "formats": ["text/plain"], "sizes": {"text/plain": 8}}
    await agent.call("session-clipboard-clear")
    told = await agent.until_told("CLIPBOARD_CHANGED", formats=[])
    assert told == {"selection": "clipboard", "formats": []}


async def test_sizes_of_what_programs_have_copied_where_they_are_wanted(
    bare_x: XServer,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus, clipboard_sizes=True) as agent:
        await agent.clipboard_watched()
        clipboards = Clipboards(bare_x, tmp_path, agent)
        # Nobody else asks xclip meanwhile, which answers one at a time.
        clipboards.start(BIG, *XCLIP, "-t", "image/png")
        await agent.until_told("CLIPBOARD_CHANGED", sizes={"image/png": len(BIG)})
        clipboards.start("größer".encode("latin-1"), *XCLIP, "-noutf8", "-t", "STRING")
        await agent.until_told("CLIPBOARD_CHANGED", selection="clipboard", sizes={"text/plain": 8})
        clipboards.start(b"x", *XCLIP, "-t", "a/b")
        told = await agent.until_told("CLIPBOARD_CHANGED", formats=["a/b"])
        assert "sizes" not in told
        await agent.logind.control.set_locked("c2", locked=True)
        clipboards.start(b"<b>", *XCLIP, "-t", "text/html")
        told = await agent.until_told("CLIPBOARD_CHANGED", formats=["text/html"])
        assert "sizes" not in told


@pytest.mark.parametrize("command", ["list", "get", "set", "clear"])
async def test_only_for_who_sits_in_front_of_it(agent: DesktopAgent, command: str) -> None:
    arguments: dict[str, Any] = {"text": "x"} if command == "set" else {}
    await agent.call("session-clipboard-set", text="secret")
    await agent.logind.control.set_locked("c2", locked=True)
    with pytest.raises(CallError, match="the session is locked"):
        await agent.call(f"session-clipboard-{command}", **arguments)
    await agent.logind.control.set_locked("c2", locked=False)
    await agent.logind.control.set_active("seat0", "")
    with pytest.raises(CallError, match="the session is in the background"):
        await agent.call(f"session-clipboard-{command}", **arguments)


@pytest.mark.parametrize("policy", ["always", "never"])
async def test_the_administrator_decides(
    policy: ClipboardPolicy,
    bare_x: XServer,
    system_bus: PrivateBus,
    session_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_into(monkeypatch, bare_x.environment)
    async with desktop_agent(system_bus, session_bus, clipboard=policy) as agent:
        await agent.logind.control.set_locked("c2", locked=True)
        if policy == "never":
            with pytest.raises(CallError, match="switched off"):
                await agent.call("session-clipboard-set", text="x")
        else:
            await agent.call("session-clipboard-set", text="x")


async def test_a_display_server_that_crashes_and_comes_back(
    agent: DesktopAgent, clipboards: Clipboards, bare_x: XServer
) -> None:
    await agent.clipboard_watched()
    await agent.call("session-clipboard-set", text="lost")
    await anyio.to_thread.run_sync(bare_x.crash)
    with pytest.raises(CallError, match="cannot be reached"):
        await agent.call("session-clipboard-get")
    await anyio.to_thread.run_sync(bare_x.restart)
    assert (await agent.call("session-clipboard-list"))["sizes"] == {}
    await agent.call("session-clipboard-set", text="new")
    assert await clipboards.paste(*XCLIP, "-o") == b"new"
    agent.forget()
    await agent.clipboard_watched()
