"""The demo's parts: its processes, its room, its view of events, its stand-in for a desktop."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

import guestmux
from guestmux.demo import private_bus as demo_bus
from guestmux.demo import stage_booted
from guestmux.demo.children import Children, children
from guestmux.demo.errors import DemoError, NotHeld, leaves
from guestmux.demo.latency import Latencies
from guestmux.demo.performance import STAGES
from guestmux.demo.room import ALICE, BOB, Room, room
from guestmux.demo.stage import Stage
from guestmux.demo.standin_desktop import NOTIFICATIONS, NOTIFICATIONS_PATH
from guestmux.demo.standin_logind import names
from guestmux.demo.story import Story
from guestmux.demo.view import View
from guestmux.demo.watch import EventWatch
from guestmux_transport.bus import Bus, connect_bus
from guestmux_transport.bus_signals import Signal
from guestmux_transport.names import PROPERTIES_INTERFACE
from tests.support.dbus_daemon import PrivateBus, private_bus
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = pytest.mark.anyio

ENVIRONMENT = {"PATH": os.environ["PATH"]}


# ---- processes


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Children]:
    async with children(tmp_path) as running:
        yield running


async def test_a_process_says_when_it_is_ready(running: Children) -> None:
    child = await running.start("cheerful", ["sh", "-c", "echo here I am; read _"], environment=ENVIRONMENT)
    assert await child.ready() == "here I am"


async def test_a_held_process_keeps_its_pid_when_it_runs(running: Children) -> None:
    child = await running.start("held", ["sh", "-c", "echo $$"], environment=ENVIRONMENT, held=True)
    await child.release()
    assert await child.ready() == str(child.pid)


async def test_one_that_does_not_start_is_told_with_its_last_words(running: Children) -> None:
    child = await running.start("sad", ["sh", "-c", "echo no disk >&2; exit 1"], environment=ENVIRONMENT)
    with pytest.raises(DemoError, match="sad did not start:\n    no disk"):
        await child.ready()


async def test_a_program_that_is_not_there_is_named(running: Children) -> None:
    with pytest.raises(DemoError, match="no-such-program is not installed"):
        await running.start("missing", ["no-such-program"], environment=ENVIRONMENT)


async def test_all_end_with_the_block(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; echo; while :; do read _ || sleep 1; done"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("guestmux.demo.children.STOP_PATIENCE", 0.01)
        async with children(tmp_path) as running:
            child = await running.start("stubborn", stubborn, environment=ENVIRONMENT)
            await child.ready()
    assert not Path(f"/proc/{child.pid}").exists()


# ---- the room


async def test_users_are_apart_or_it_is_said_why_not() -> None:
    with room() as place:
        home = place.folder
        if place.why_together:
            assert place.uid(ALICE) == place.uid(BOB) == os.getuid()
        else:
            command = place.command([sys.executable, "-c", "import os; print(os.getuid())"], ALICE)
            done = await anyio.run_process(command, env=place.environment(ALICE))
            assert int(done.stdout) == place.uid(ALICE) == ALICE.uid
    assert not home.exists()


def test_in_a_closed_folder_users_are_one(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = tmp_path / "room"
    folder.mkdir()
    place = Room(folder)
    assert place.why_together
    assert place.uid(ALICE) == os.getuid()


async def test_a_missing_dbus_daemon_is_named(monkeypatch: pytest.MonkeyPatch, running: Children) -> None:
    monkeypatch.setattr("guestmux.demo.private_bus.shutil.which", lambda _name: None)
    with room() as place, pytest.raises(DemoError, match="apt-get install dbus-daemon"):
        await demo_bus.start_bus(place, running, place.folder)


@pytest.mark.parametrize("guest", ["container", "vm"])
async def test_a_booted_guest_needs_a_checkout(
    guest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stage_booted, "CHECKOUT", tmp_path)
    with pytest.raises(DemoError, match=f"make demo GUEST={guest}"):
        async with STAGES[guest]():
            pass


# ---- what the host sees


def event(name: str, seq: int, **data: Any) -> guestmux.Event:
    return guestmux.Event(name, {"epoch": "e", "seq": seq, "source": "verified", **data}, 1, 0)


async def feed(view: EventWatch, items: Sequence[guestmux.Item]) -> None:
    async def stream() -> AsyncIterator[guestmux.Item]:
        for item in items:
            yield item

    await view.follow(stream())  # type: ignore[arg-type]


@pytest.fixture
def seen(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


async def test_events_are_shown_in_narrow_plain_lines(seen: Callable[[], str]) -> None:
    events = EventWatch(View())
    await feed(events, [event("SESSION_LOCK", 1, session="c1", user="alice", seat="seat0", confirmed=True)])
    line = seen()
    assert "SESSION_LOCK      c1 alice   seat0 confirmed=yes" in line
    assert "\x1b" not in line


async def test_an_event_is_expected_by_its_members_and_only_once() -> None:
    events = EventWatch(View(), patience=0)
    await feed(events, [event("SESSION_IDLE", 1, session="c1"), event("SESSION_IDLE", 2, session="c2")])
    assert (await events.expect("SESSION_IDLE", session="c2")).seq == 2
    with pytest.raises(NotHeld, match="SESSION_IDLE session=c2 did not come"):
        await events.expect("SESSION_IDLE", session="c2")


async def test_a_hole_in_the_numbers_is_a_fault() -> None:
    events = EventWatch(View())
    await feed(events, [event("SESSION_IDLE", 1), event("SESSION_IDLE", 3)])
    assert events.faults == ["event 3 came after 1"]


async def test_a_lost_connection_is_a_fault_unless_the_guest_went_off() -> None:
    for may_end, faults in ((False, 1), (True, 0)):
        events = EventWatch(View())
        events.may_end = may_end
        await feed(events, [guestmux.Disconnected("gone")])
        assert len(events.faults) == faults


def test_latencies_tell_median_and_longest() -> None:
    times = Latencies()
    assert str(times) == "0"
    for milliseconds in (3.0, 1.0, 20.0):
        times.add(milliseconds)
    assert str(times) == "3: median 3.0 ms, longest 20.0 ms"


def test_errors_are_found_in_groups_of_groups() -> None:
    inner = DemoError("x")
    assert list(leaves(BaseExceptionGroup("", [BaseExceptionGroup("", [inner])]))) == [inner]


class NoStage:
    """A guest where nobody can log in."""

    comes_back = True
    pace = 1.0
    one_clock = True
    address = "unix:/nowhere"
    setting = ()
    users = ("alice", "bob")

    async def login(self, user: str) -> str:
        raise DemoError(f"{user} cannot log in")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


async def test_what_does_not_hold_is_noted_and_ends_the_story(seen: Callable[[], str]) -> None:
    stage: Stage = NoStage()
    view = View()
    story = Story(stage, None, EventWatch(view), view)  # type: ignore[arg-type]
    await story.play(shut_down=True)
    assert story.missed == ["logins: alice cannot log in"]
    assert "logins: alice cannot log in" in seen()


# ---- the stand-in for a desktop


@pytest.fixture
async def desktop() -> AsyncIterator[tuple[StandinLogind, Bus]]:
    """A stand-in for logind with alice's session c1, and the session bus of her desktop."""
    with private_bus() as system, private_bus() as session:
        async with standin_logind(system.address) as logind, connect_bus(session.address) as bus:
            await logind.control.login("alice", os.getuid(), locker=False)
            async with await anyio.open_process(_desktop(system, session), stderr=None) as process:
                assert process.stdout is not None
                assert (await process.stdout.receive()).strip() == b"ready"
                yield logind, bus
                process.terminate()
                assert await process.wait() == 0


def _desktop(system: PrivateBus, session: PrivateBus) -> list[str]:
    options = ["--bus", system.address, "--session-bus", session.address, "--session", "c1"]
    return [sys.executable, "-m", "guestmux.demo.standin_desktop", *options, "--click-after", "0"]


async def test_the_locker_confirms(desktop: tuple[StandinLogind, Bus]) -> None:
    logind, _bus = desktop
    send, changed = anyio.create_memory_object_stream[Signal](10)
    with send, changed:
        await logind.bus.add_signal_handler(
            sender=names.LOGIN1, interface=PROPERTIES_INTERFACE, handler=send.send_nowait
        )
        await logind.control.ask_to_lock("c1")
        assert (await changed.receive()).body[1]["LockedHint"].value is True


async def test_the_user_presses_the_first_button(desktop: tuple[StandinLogind, Bus]) -> None:
    _logind, bus = desktop
    send, told = anyio.create_memory_object_stream[Signal](10)
    with send, told:
        await bus.add_signal_handler(sender=NOTIFICATIONS, interface=NOTIFICATIONS, handler=send.send_nowait)
        for actions in ([], ["ok", "Fine", "no", "Never"]):
            body: tuple[Any, ...] = ("test", 0, "", "summary", "body", actions, {}, -1)
            await bus.call(NOTIFICATIONS, NOTIFICATIONS_PATH, NOTIFICATIONS, "Notify", "susssasa{sv}i", body)
        heard = [await told.receive() for _ in range(2)]
    assert [(signal.member, signal.body) for signal in heard] == [
        ("ActionInvoked", [2, "ok"]),
        ("NotificationClosed", [2, 2]),
    ]
