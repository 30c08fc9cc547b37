"""X clients that have the clipboard and mean no good: they harm their own content, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import anyio
import pytest

from guestmux_protocol.clipboard_commands import MAX_FORMATS
from guestmux_session.desktop import clipboard_source
from guestmux_transport.errors import CallError
from tests.support.dbus_daemon import PrivateBus
from tests.support.desktop_agent import DesktopAgent, desktop_agent, put_into
from tests.support.x_owner import PIECE, Owner
from tests.support.x_server import XServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ANSWER_SECONDS = 1.0
"""Instead of five: what never answers is waited for so long in these tests."""

LARGE = "x" * 300_000
"""More than goes in one piece."""


@pytest.fixture
async def agent(
    bare_x: XServer, system_bus: PrivateBus, session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DesktopAgent]:
    put_into(monkeypatch, bare_x.environment)
    monkeypatch.setattr(clipboard_source, "ANSWER_SECONDS", ANSWER_SECONDS)
    async with desktop_agent(system_bus, session_bus) as agent:
        yield agent


@pytest.fixture
async def owner(bare_x: XServer, agent: DesktopAgent) -> AsyncIterator[Owner]:
    owner = await Owner.on(bare_x)
    yield owner
    owner.close()


async def test_ten_thousand_formats(agent: DesktopAgent, owner: Owner) -> None:
    await agent.clipboard_watched()
    owner.targets = await owner.named(*(b"a/%d" % number for number in range(10_000)))
    await owner.own()
    told = await agent.until_told("CLIPBOARD_CHANGED", selection="clipboard")
    assert told["formats"] == [f"a/{number}" for number in range(MAX_FORMATS)]
    assert told["truncated"]
    listed = await agent.call("session-clipboard-list")
    assert (listed["formats"], listed["truncated"]) == (told["formats"], True)


@pytest.mark.parametrize("name", [b"x" * 65_000, b"\xff\xfe/\x00", b"a/\nb", b""])
async def test_formats_that_are_none(agent: DesktopAgent, owner: Owner, name: bytes) -> None:
    owner.targets = await owner.named(name, b"text/html")
    assert await agent.call("session-clipboard-list") == {
        "formats": ["text/html"],
        "sizes": {},
        "truncated": True,
    }


async def test_formats_that_no_server_knows(agent: DesktopAgent, owner: Owner) -> None:
    owner.targets = [0, 0x1FFFFFFF, 0xFFFFFFFF]
    with pytest.raises(CallError, match="lists what there is not"):
        await agent.call("session-clipboard-list")


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\0\0\0\1\0"])
async def test_a_list_that_is_none(agent: DesktopAgent, owner: Owner, value: bytes) -> None:
    owner.listed = value
    listed = await agent.call("session-clipboard-list")
    assert len(listed["formats"]) <= 1


async def test_one_that_never_answers(agent: DesktopAgent, owner: Owner) -> None:
    await agent.clipboard_watched()
    owner.targets = owner.content = None
    await owner.own()
    async with anyio.create_task_group() as group:
        for command in ("list", "get"):
            group.start_soon(refused, agent, command, "does not answer")
        # The other clipboard is as it was, and so is the agent.
        await agent.call("session-clipboard-set", text="other", selection="primary")
        assert (await agent.call("session-clipboard-get", selection="primary"))["text"] == "other"
    told = await agent.until_told("CLIPBOARD_CHANGED", selection="clipboard")
    assert told == {"selection": "clipboard"}


async def refused(agent: DesktopAgent, command: str, reason: str) -> None:
    with pytest.raises(CallError, match=reason):
        await agent.call(f"session-clipboard-{command}")


async def test_one_that_lists_and_never_gives(agent: DesktopAgent, owner: Owner) -> None:
    owner.content = None
    await refused(agent, "get", "does not answer")


async def test_one_that_gives_for_ever(agent: DesktopAgent, owner: Owner) -> None:
    # Large ones: the call has 20 s, and each piece goes to and fro.
    owner.pieces = lambda: b"x" * PIECE * 32
    await refused(agent, "get", "more than 16 MiB")


async def test_one_that_gives_a_little_for_ever(
    agent: DesktopAgent, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard_source, "WHOLE_SECONDS", ANSWER_SECONDS)
    owner.pieces = lambda: b"x"
    await refused(agent, "get", "does not answer")


async def test_one_that_stops_in_the_middle(agent: DesktopAgent, owner: Owner) -> None:
    left = itertools.repeat(b"x" * PIECE, 3)
    owner.pieces = lambda: next(left, None)
    await refused(agent, "get", "does not answer")


async def test_one_that_ends_in_the_middle(agent: DesktopAgent, owner: Owner) -> None:
    def piece() -> bytes | None:
        if len(given) == 3:
            owner.close()
            return None
        given.append(b"x")
        return b"x" * PIECE

    given: list[bytes] = []
    owner.pieces = piece
    await refused(agent, "get", "ended before it gave all of it")


async def test_one_that_lists_for_ever(agent: DesktopAgent, owner: Owner) -> None:
    owner.pieces = lambda: (1).to_bytes(4, "little") * (PIECE // 4)
    owner.lists_by_pieces = True
    listed = await agent.call("session-clipboard-list")
    assert listed["truncated"]


async def test_those_who_ask_and_never_take(agent: DesktopAgent, owner: Owner) -> None:
    await agent.call("session-clipboard-set", text=LARGE)
    for number in range(200):
        await owner.ask(number)
    assert (await agent.call("session-clipboard-get"))["text"] == LARGE


async def test_one_who_asks_for_it_on_the_root_window(
    agent: DesktopAgent, owner: Owner, bare_x: XServer
) -> None:
    # What the agent hears of there is what it knows applications by.
    bare_x.manage()
    await agent.watched()
    await agent.call("session-clipboard-set", text=LARGE)
    await owner.ask(0, window=owner.root)
    await owner.take_all(0, window=owner.root)
    xterm = bare_x.run("xterm")
    await agent.until_told("APP_STARTED", pid=xterm.pid)


async def test_one_who_ends_the_agents_connection(agent: DesktopAgent, owner: Owner, bare_x: XServer) -> None:
    bare_x.manage()
    await agent.watched()
    xterm = bare_x.run("xterm")
    await agent.until_told("APP_FOCUSED", pid=xterm.pid)
    agent.forget()
    for _ in range(3):
        await agent.call("session-clipboard-set", text="owned")
        await owner.end_owner()
    other = bare_x.run("xterm")
    await agent.until_told("APP_STARTED", pid=other.pid)
    assert [data["pid"] for event, data in agent.told if event != "APP_FOCUSED"] == [other.pid]
