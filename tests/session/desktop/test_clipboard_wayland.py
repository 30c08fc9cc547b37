"""Clipboards by both kinds of data control; sway, in the tests of desktops, has wlr's alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from guestmux_protocol.clipboard_commands import Selection
from guestmux_session.desktop.clipboard_formats import TEXTS, Content
from guestmux_session.desktop.clipboard_source import NotOffered, OwnerFailed
from guestmux_session.desktop.clipboard_wayland import WaylandClipboard
from guestmux_session.desktop.clipboard_wayland_ext import ExtClipboard
from guestmux_session.desktop.clipboard_wayland_wlr import WlrClipboard
from guestmux_session.desktop.errors import DisplayLost, DisplayUnavailable
from guestmux_session.desktop.wayland_connection import connect_wayland
from tests.support.standin_data_control import Copied, StandinDataControl, standin_data_control

pytestmark = pytest.mark.anyio

VERSIONS = {ExtClipboard: 1, WlrClipboard: 2}


@pytest.fixture(params=VERSIONS)
def kind(request: pytest.FixtureRequest) -> type[WaylandClipboard]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def version(kind: type[WaylandClipboard]) -> int:
    return VERSIONS[kind]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wayland-0"


@pytest.fixture
async def compositor(
    path: Path, kind: type[WaylandClipboard], version: int
) -> AsyncIterator[StandinDataControl]:
    async with standin_data_control(path, kind.manager, version) as compositor:
        yield compositor


@pytest.fixture
async def clipboard(
    compositor: StandinDataControl, path: Path, kind: type[WaylandClipboard]
) -> AsyncIterator[WaylandClipboard]:
    del compositor
    connection = await connect_wayland(path)
    assert kind.is_offered(connection)
    yield kind(connection)
    connection.close()


async def read(clipboard: WaylandClipboard, selection: Selection, name: str) -> bytes:
    return b"".join([piece async for piece in clipboard.read(selection, name)])


@pytest.mark.parametrize("selection", ["clipboard", "primary"])
async def test_what_a_program_has(
    compositor: StandinDataControl, clipboard: WaylandClipboard, selection: Selection
) -> None:
    assert (await clipboard.offered(selection)).names == ()
    compositor.put(selection, Copied({"text/plain;charset=utf-8": b"text", "text/html": b"<b>"}))
    offered = await clipboard.offered(selection)
    assert offered.formats == ["text/plain", "text/html"]
    assert await read(clipboard, selection, "text/html") == b"<b>"
    with pytest.raises(NotOffered):
        await read(clipboard, selection, "image/png")


@pytest.mark.parametrize("selection", ["clipboard", "primary"])
async def test_what_a_program_gets(
    compositor: StandinDataControl, clipboard: WaylandClipboard, selection: Selection
) -> None:
    held = await clipboard.hold(selection, Content("text/plain", b"text"))
    copied = await compositor.put_by_client(selection)
    assert copied.names == [*TEXTS[:-1]]
    assert await compositor.paste(selection, "UTF8_STRING") == b"text"
    assert await read(clipboard, selection, "text/plain") == b"text"
    compositor.put(selection, Copied({"a/b": b"other"}))
    await held.wait_over()
    assert not held.alive
    held.release()
    assert await read(clipboard, selection, "a/b") == b"other"


async def test_it_can_be_emptied(compositor: StandinDataControl, clipboard: WaylandClipboard) -> None:
    compositor.put("clipboard", Copied({"a/b": b"x"}))
    await clipboard.clear("clipboard")
    assert compositor.current["clipboard"] is None


async def test_a_program_that_ends_in_the_middle(
    compositor: StandinDataControl, clipboard: WaylandClipboard
) -> None:
    compositor.half = True
    compositor.put("clipboard", Copied({"a/b": b"half of it"}))
    with pytest.raises(OwnerFailed, match="its program ended"):
        await read(clipboard, "clipboard", "a/b")


async def test_changes_are_told(compositor: StandinDataControl, clipboard: WaylandClipboard) -> None:
    told: list[Selection] = []
    changed = anyio.Event()

    def tell(selection: Selection) -> None:
        told.append(selection)
        changed.set()

    async def follow() -> None:
        with pytest.raises(DisplayLost):
            await clipboard.follow(tell)

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        # When this has been answered, that is followed.
        await clipboard.offered("clipboard")
        compositor.put("primary", Copied({"a/b": b"x"}))
        with anyio.fail_after(10):
            await changed.wait()
        assert told == ["primary"]
        compositor.close()


@pytest.mark.parametrize(("kind", "version"), [(WlrClipboard, 1)])
async def test_an_old_one_has_no_primary_selection(
    compositor: StandinDataControl, clipboard: WaylandClipboard
) -> None:
    with pytest.raises(DisplayUnavailable, match="no primary selection"):
        await clipboard.hold("primary", Content("text/plain", b"text"))
    await clipboard.hold("clipboard", Content("text/plain", b"text"))
    assert await compositor.paste("clipboard", "text/plain") == b"text"
