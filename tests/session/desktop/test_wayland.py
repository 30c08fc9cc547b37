"""Wayland's bytes, and what compositors may say that no real one here does."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.desktop import wayland_toplevels
from guestmux_session.desktop.app_news import AppNews
from guestmux_session.desktop.app_table import AppTable
from guestmux_session.desktop.apps_wayland_ext import ExtApps
from guestmux_session.desktop.apps_wayland_wlr import WlrApps
from guestmux_session.desktop.desktop_entries import DesktopEntries
from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable, WireError
from guestmux_session.desktop.wayland_connection import WaylandConnection, connect_wayland
from guestmux_session.desktop.wayland_protocols import EXT_TOPLEVELS, WLR_TOPLEVELS
from guestmux_session.desktop.wayland_toplevels import WaylandToplevels
from guestmux_session.desktop.wayland_wire import Cutter, decode, encode
from guestmux_session.errors import CommandError
from tests.support.standin_compositor import StandinCompositor, standin_compositor

pytestmark = pytest.mark.anyio

NO_DIRECTORY = {"XDG_DATA_HOME": "/nosuch", "XDG_DATA_DIRS": "/nosuch"}


class Followed:
    """A source that follows a stand-in."""

    def __init__(
        self, compositor: StandinCompositor, connection: WaylandConnection, source: WaylandToplevels
    ) -> None:
        self.compositor = compositor
        self.connection = connection
        self.source = source
        self.table = AppTable(AppNews())

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.connection.sync()
            await anyio.lowlevel.checkpoint()

    def ids(self) -> list[str]:
        return [running.app.app_id for running in self.table]


@asynccontextmanager
async def followed(
    path: Path, kind: type[WaylandToplevels], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Followed]:
    monkeypatch.setattr("guestmux_session.desktop.app_source.REST_SECONDS", 0.0)
    async with standin_compositor(path, kind.interface) as compositor:
        connection = await connect_wayland(path)
        source = kind(connection, DesktopEntries(), NO_DIRECTORY)
        one = Followed(compositor, connection, source)
        await source.load(one.table)

        async def follow() -> None:
            with suppress(DisplayLost):
                await source.follow(one.table)

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            yield one
            group.cancel_scope.cancel()
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wayland-0"


@pytest.mark.parametrize("kind", [ExtApps, WlrApps])
async def test_windows_come_and_go(
    path: Path, kind: type[WaylandToplevels], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(path, kind, monkeypatch) as one:
        window = one.compositor.open_window("editor", "a.txt")
        one.compositor.open_window("editor", "b.txt")
        await one.until(lambda: one.ids() == ["editor"] and len(one.table.windows) == 2)
        (running,) = one.table
        assert [await one.source.title(each) for each in running.windows] == ["a.txt", "b.txt"]
        one.compositor.close_window(window)
        await one.until(lambda: len(one.table.windows) == 1)
        assert one.compositor.asked[-1][1] in ("destroy", "sync")
        assert sum(name == "destroy" for _, name, _ in one.compositor.asked) == 1
        one.source.stop()
        await one.connection.sync()
        assert sum(name == "destroy" for _, name, _ in one.compositor.asked) == 2


async def test_what_the_list_alone_cannot(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with followed(path, ExtApps, monkeypatch) as one:
        for does in (one.source.focus, one.source.close):
            with pytest.raises(CommandError, match="lets nobody"):
                await does(None)


async def test_focus_and_requests(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with followed(path, WlrApps, monkeypatch) as one:
        window = one.compositor.open_window("editor", "")
        one.compositor.send(window, "state", struct.pack("=II", 0, 2))
        one.compositor.send(window, "done")
        await one.until(lambda: one.table.focused is not None)
        (handle,) = one.table.windows
        await one.source.close(handle)
        assert ("zwlr_foreign_toplevel_handle_v1", "close", []) in one.compositor.asked
        with pytest.raises(CommandError, match="no seat"):
            await one.source.focus(handle)
        one.compositor.close_window(window)
        await one.until(lambda: not one.table.windows)
        # To a handle that is gone nothing may be said.
        await one.source.close(handle)
        assert one.connection.lost_reason is None


async def test_hostile_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wayland_toplevels, "MAX_WINDOWS", 10)
    async with followed(path, ExtApps, monkeypatch) as one:
        one.compositor.open_window("x" * 60_000, "\n" * 60_000)
        for _ in range(5000):
            one.compositor.open_window("flood", "")
        await one.until(lambda: one.table.truncated)
        assert len(one.table.windows) == 10
        names = [running.app.app_id for running in one.table]
        assert max(map(len, names)) == 256
        (first, *_) = one.table
        assert set(await one.source.title(next(iter(first.windows)))) == {"\ufffd"}
        await one.until(lambda: repr(one.connection).endswith("objects=13>"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("=II", 1, 4 << 16), "shorter than its header"),
        (struct.pack("=II", 1, 8 << 16 | 9), "has no event 9"),
        (struct.pack("=II", 1, 12 << 16) + bytes(4), "does not hold"),
        (struct.pack("=IIIII", 1, 20 << 16, 1, 1, 99), "longer than the event"),
        (encode(1, 0, "ous", [1, 3, "no" * 999])[0], "refused a request: object 1, error 3: nono"),
    ],
)
async def test_what_ends_a_connection(
    path: Path, data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(path, WlrApps, monkeypatch) as one:
        one.compositor.send_raw(data)
        await one.connection.wait_lost()
        assert reason in str(one.connection.lost_reason)
        assert len(str(one.connection.lost_reason)) < 300


async def test_an_object_that_the_compositor_may_not_make(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with followed(path, WlrApps, monkeypatch) as one:
        one.compositor.send(one.compositor.manager, "toplevel", 3)
        await one.connection.wait_lost()
        assert "may not" in str(one.connection.lost_reason)


async def test_nobody_there(path: Path) -> None:
    with pytest.raises(DisplayUnavailable, match="No such file"):
        await connect_wayland(path)


async def test_a_compositor_without_the_protocol(path: Path) -> None:
    async with standin_compositor(path, EXT_TOPLEVELS):
        connection = await connect_wayland(path)
        assert not WlrApps.offered(connection)
        assert ExtApps.offered(connection)
        with pytest.raises(DisplayUnavailable, match=WLR_TOPLEVELS.name):
            await WlrApps(connection, DesktopEntries(), {}).load(AppTable(AppNews()))
        connection.close()


VALUES = st.one_of(
    st.tuples(st.just("i"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from("uon"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("s"), st.text(st.characters(exclude_categories=["Cs"]), max_size=40)),
    st.tuples(st.just("a"), st.binary(max_size=40)),
)


@given(st.lists(st.lists(VALUES, max_size=6), max_size=5), st.integers(1, 50))
def test_messages_in_pieces(messages: list[list[tuple[str, object]]], size: int) -> None:
    stream = b""
    for number, message in enumerate(messages):
        stream += encode(number, 2, "".join(kind for kind, _ in message), [value for _, value in message])[0]
    cutter = Cutter()
    found = [one for at in range(0, len(stream), size) for one in cutter.events(stream[at : at + size])]
    assert [(target, opcode) for target, opcode, _ in found] == [
        (number, 2) for number in range(len(messages))
    ]
    for (_, _, body), message in zip(found, messages, strict=True):
        assert decode("".join(kind for kind, _ in message), body, []) == [value for _, value in message]


def test_descriptors_go_beside_the_bytes() -> None:
    data, fds = encode(5, 0, "sh", ["x", 42])
    assert fds == [42]
    taken = [7, 8]
    assert decode("sh", data[8:], taken) == ["x", 7]
    assert taken == [8]
    with pytest.raises(WireError):
        decode("h", b"", [])


@given(st.text("iufsoanh", max_size=6), st.binary(max_size=64))
def test_from_any_bytes_nothing_but_our_errors(signature: str, data: bytes) -> None:
    with suppress(DisplayError):
        decode(signature, data, [os.devnull] * 3)  # type: ignore[list-item]
    with suppress(DisplayError):
        list(Cutter().events(data))
