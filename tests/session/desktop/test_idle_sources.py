"""Sources of idleness that no desktop here has: ext-idle-notify, Mutter; and bytes that no X server should send."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestmux_session.desktop import idle_mutter, sync_wire
from guestmux_session.desktop.errors import DisplayError, DisplayLost, DisplayUnavailable, WireError
from guestmux_session.desktop.idle_mutter import MutterIdle
from guestmux_session.desktop.idle_source import IdleSource
from guestmux_session.desktop.idle_wayland import ExtIdle, KdeIdle, WaylandIdle
from guestmux_session.desktop.user_manager import UserManager
from guestmux_session.desktop.wayland_connection import connect_wayland
from guestmux_session.desktop.wayland_protocols import EXT_IDLE, EXT_TOPLEVELS, KDE_IDLE
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from guestmux_transport.bus_limits import BusLimits
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.standin_compositor import standin_compositor

pytestmark = pytest.mark.anyio


class Told:
    """What a source tells."""

    def __init__(self) -> None:
        self.values: list[bool] = []
        self.failure: DisplayError | None = None
        self._changed = anyio.Event()

    def tell(self, idle: bool) -> None:
        self.values.append(idle)
        self.wake()

    def wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, *values: bool) -> None:
        while self.values != list(values):
            await self._changed.wait()

    async def ended(self) -> DisplayError:
        while self.failure is None:
            await self._changed.wait()
        return self.failure


@asynccontextmanager
async def following(source: IdleSource, seconds: float = 300.0) -> AsyncIterator[Told]:
    told = Told()

    async def follow() -> None:
        try:
            await source.follow(seconds, told.tell)
        except DisplayError as error:
            told.failure = error
            told.wake()

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        yield told
        group.cancel_scope.cancel()


# ---- Wayland


@pytest.mark.parametrize(
    ("kind", "interfaces", "idled", "asked"),
    [(ExtIdle, EXT_IDLE, "idled", 300_000), (KdeIdle, KDE_IDLE, "idle", 300_000)],
)
async def test_a_compositor_tells_of_it(
    tmp_path: Path, kind: type[WaylandIdle], interfaces: tuple[Any, Any], idled: str, asked: int
) -> None:
    async with standin_compositor(tmp_path / "wayland-0", interfaces[0], "wl_seat") as compositor:
        connection = await connect_wayland(tmp_path / "wayland-0")
        assert kind.is_offered(connection)
        source = kind(connection)
        assert await source.idle_for() is None
        async with following(source) as told:
            await told.until(False)
            await connection.sync()
            (request,) = [one for one in compositor.asked if one[1].startswith("get_idle")]
            assert asked in request[2]
            compositor.send(request[2][0], idled)
            await told.until(False, True)
            compositor.send(request[2][0], "resumed")
            await told.until(False, True, False)
        await connection.sync()
        names = [(interface, name) for interface, name, _ in compositor.asked if interface != "wl_display"]
        assert (interfaces[1].name, interfaces[1].requests[0].name) in names
        async with following(source) as told:
            await told.until(False)
            connection.lose("it crashed")
            assert "it crashed" in str(await told.ended())


async def test_a_compositor_without_a_seat(tmp_path: Path) -> None:
    async with standin_compositor(tmp_path / "wayland-0", EXT_IDLE[0]):
        connection = await connect_wayland(tmp_path / "wayland-0")
        async with following(ExtIdle(connection)) as told:
            assert isinstance(await told.ended(), DisplayUnavailable)
        connection.close()


async def test_what_a_compositor_lacks(tmp_path: Path) -> None:
    async with standin_compositor(tmp_path / "wayland-0", EXT_TOPLEVELS):
        connection = await connect_wayland(tmp_path / "wayland-0")
        assert not ExtIdle.is_offered(connection)
        assert not KdeIdle.is_offered(connection)
        connection.close()


# ---- Mutter


class StandinMutter:
    """Mutter's idle monitor.

    Attributes:
        idle: milliseconds since the last input.
        watches: those that were added, and not removed, by what they wait for.
        removed: those that it was to remove.
        nonsense: it answers with text.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.idle = 0
        self.watches: dict[int, str] = {}
        self.removed: list[int] = []
        self.nonsense = False
        self._known: list[str] = []
        self._number = 0
        self._changed = anyio.Event()

    def interface(self) -> Interface:
        number = "s" if self.nonsense else "u"
        return Interface(
            idle_mutter.NAME,
            methods={
                "GetIdletime": ("", "s" if self.nonsense else "t", self._get_idle),
                "AddIdleWatch": ("t", number, lambda call: self._add(f"idle {call.body[0]}")),
                "AddUserActiveWatch": ("", number, lambda _call: self._add("active")),
                "RemoveWatch": ("u", "", self._remove),
            },
        )

    async def until_watched(self, *what: str) -> None:
        while sorted(self._known) != sorted(what):
            await self._changed.wait()

    def fire(self, what: str) -> None:
        (watch,) = [number for number, waits in self.watches.items() if waits == what]
        if what == "active":
            # As Mutter does: it fires once.
            del self.watches[watch]
        self._known.clear()
        self.emit(watch)

    def emit(self, watch: int) -> None:
        self.bus.emit(idle_mutter.PATH, idle_mutter.NAME, "WatchFired", "u", [watch])

    def _add(self, what: str) -> Results:
        self._number += 1
        self.watches[self._number] = what
        return ("what?" if self.nonsense else self._number,)

    def _remove(self, call: IncomingCall) -> Results:
        self.removed.append(call.body[0])
        self.watches.pop(call.body[0], None)
        self._wake()
        return ()

    def _get_idle(self, _call: IncomingCall) -> Results:
        # It is asked for when the agent has got the number of a watch.
        self._wake()
        return ("what?" if self.nonsense else self.idle,)

    def _wake(self) -> None:
        self._known = list(self.watches.values())
        self._changed.set()
        self._changed = anyio.Event()


@pytest.fixture
def session_bus() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


@asynccontextmanager
async def standin_mutter(address: str, *, nonsense: bool = False) -> AsyncIterator[StandinMutter]:
    async with connect_bus(address, limits=BusLimits(queued_bytes=64 << 20)) as bus:
        mutter = StandinMutter(bus)
        mutter.nonsense = nonsense
        bus.export(idle_mutter.PATH, mutter.interface())
        await bus.request_name(idle_mutter.NAME)
        yield mutter


@asynccontextmanager
async def mutter_idle(address: str) -> AsyncIterator[MutterIdle]:
    manager = UserManager()
    async with connect_bus(address) as bus:
        await manager.attach(bus)
        yield MutterIdle(manager)


async def test_mutter_tells_of_it(session_bus: PrivateBus) -> None:
    async with mutter_idle(session_bus.address) as source:
        assert not await source.is_offered()
        async with standin_mutter(session_bus.address) as mutter:
            assert await source.is_offered()
            mutter.idle = 2500
            assert await source.idle_for() == 2.5
            async with following(source) as told:
                await told.until(False)
                mutter.idle = 300_000
                mutter.fire("idle 300000")
                await told.until(False, True)
                await mutter.until_watched("idle 300000", "active")
                mutter.emit(99)
                mutter.fire("active")
                await told.until(False, True, False)
                mutter.fire("idle 300000")
                await told.until(False, True, False, True)
                await mutter.until_watched("idle 300000", "active")
            await mutter.until_watched()
            # Of the one that had fired there is nothing left to remove.
            assert sorted(mutter.removed) == [1, 3]


async def test_a_user_who_was_away_before_and_comes_back_at_once(session_bus: PrivateBus) -> None:
    async with (
        mutter_idle(session_bus.address) as source,
        standin_mutter(session_bus.address) as mutter,
    ):
        mutter.idle = 400_000
        async with following(source) as told:
            await told.until(True)
            await mutter.until_watched("idle 300000", "active")
        mutter.idle = 0
        async with following(source) as told:
            await told.until(False)
            # Back before the watch for that was there: it fires at the next input alone.
            mutter.fire("idle 300000")
            await told.until(False, True, False)
            await mutter.until_watched("idle 300000")
        await mutter.until_watched()
        assert len(mutter.removed) == len(set(mutter.removed)) == 4


async def test_mutter_ends(session_bus: PrivateBus) -> None:
    async with mutter_idle(session_bus.address) as source:
        async with standin_mutter(session_bus.address):
            stack = following(source)
            told = await stack.__aenter__()
            await told.until(False)
        assert "went away" in str(await told.ended())
        await stack.__aexit__(None, None, None)


async def test_a_mutter_that_is_none(session_bus: PrivateBus) -> None:
    async with (
        mutter_idle(session_bus.address) as source,
        standin_mutter(session_bus.address, nonsense=True),
        following(source) as told,
    ):
        assert "with a number" in str(await told.ended())
    async with mutter_idle(session_bus.address) as source:
        while await source.is_offered():
            pass
        with pytest.raises(DisplayUnavailable):
            await source.idle_for()


async def test_a_mutter_that_tells_ten_thousand_times_a_second_is_given_up(
    session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its answers wait behind all that it tells.
    monkeypatch.setattr(idle_mutter, "CALL_TIMEOUT", 60.0)
    async with (
        mutter_idle(session_bus.address) as source,
        standin_mutter(session_bus.address) as mutter,
        following(source) as told,
    ):
        await told.until(False)
        for number in range(10_000):
            mutter.emit(number)
        assert "tells too much" in str(await told.ended())
        assert len(told.values) <= idle_mutter.MAX_SIGNALS


async def test_without_a_session_bus() -> None:
    source = MutterIdle(UserManager())
    assert not await source.is_offered()
    with pytest.raises(DisplayLost, match="no session bus"):
        await source.idle_for()


# ---- X11


def listed(*counters: tuple[int, bytes], count: int | None = None) -> bytes:
    whole = b""
    for number, name in counters:
        entry = struct.pack("<IiIH", number, 0, 4, len(name)) + name
        whole += entry + bytes(-len(entry) % 4)
    said = len(counters) if count is None else count
    return struct.pack("<BBHIi", 1, 0, 1, len(whole) // 4, said) + bytes(20) + whole


def test_counters() -> None:
    reply = listed((1, b"SERVERTIME"), (2, b"IDLETIME"), (3, b"DEVICEIDLETIME 2"))
    assert sync_wire.counter_of(reply, "IDLETIME") == 2
    assert sync_wire.counter_of(reply, "DEVICEIDLETIME 2") == 3
    assert sync_wire.counter_of(reply, "NONE") is None
    with pytest.raises(WireError):
        sync_wire.counter_of(listed((1, b"SERVERTIME"), count=5), "IDLETIME")


def test_numbers_of_64_bits() -> None:
    alarm = sync_wire.create_alarm(130, 7, 2, (5 << 32) + 6, rising=False)
    assert struct.unpack_from("<BBHIIIIiIIiII", alarm) == (130, 8, 11, 7, 63, 2, 0, 5, 6, 1, 0, 0, 1)
    event = struct.pack("<BBHIiI", 84, 1, 0, 7, 5, 6) + bytes(16)
    assert sync_wire.alarm_of(event) == (7, (5 << 32) + 6)
    assert sync_wire.value_of(struct.pack("<BBHIiI", 1, 0, 0, 0, 0, 900) + bytes(16)) == 900


@given(st.binary(max_size=200))
def test_counters_of_no_server(rest: bytes) -> None:
    with suppress(WireError):
        sync_wire.counter_of(struct.pack("<BBHI", 1, 0, 1, 0) + rest.ljust(24, b"\xff"), "IDLETIME")
