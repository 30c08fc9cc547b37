"""The stand-in as its clients see it: a process that owns org.freedesktop.login1 on a private bus."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream

from guestmux.demo.standin_logind import names
from guestmux_transport.bus_signals import Signal
from guestmux_transport.errors import CallError
from guestmux_transport.names import PROPERTIES_INTERFACE
from tests.support.dbus_daemon import STRICT_POLICY, private_bus
from tests.support.standin_logind import StandinLogind, standin_logind, wait_ready

pytestmark = pytest.mark.anyio

Signals = MemoryObjectReceiveStream[Signal]
DELAY_MAX = "0.2"


@pytest.fixture
def address() -> Iterator[str]:
    with private_bus(policy=STRICT_POLICY) as bus:
        yield bus.address


@pytest.fixture
async def logind(address: str) -> AsyncIterator[StandinLogind]:
    async with standin_logind(address) as running:
        yield running


async def ask(
    logind: StandinLogind, member: str, signature: str = "", *body: Any, path: str = names.MANAGER_PATH
) -> Any:
    """Call logind; gives the first value of the answer."""
    interface = names.MANAGER if path == names.MANAGER_PATH else names.SESSION
    reply = await logind.bus.call(names.LOGIN1, path, interface, member, signature, body)
    return reply.body[0] if reply.body else None


async def properties(logind: StandinLogind, path: str, interface: str) -> dict[str, Any]:
    reply = await logind.bus.call(names.LOGIN1, path, PROPERTIES_INTERFACE, "GetAll", "s", [interface])
    return {name: variant.value for name, variant in reply.body[0].items()}


@asynccontextmanager
async def signals_of(logind: StandinLogind, interface: str) -> AsyncIterator[Signals]:
    """What logind signals from here on."""
    send, receive = anyio.create_memory_object_stream[Signal](100)
    with send, receive:
        handle = await logind.bus.add_signal_handler(
            sender=names.LOGIN1, interface=interface, handler=send.send_nowait
        )
        yield receive
        logind.bus.remove_signal_handler(handle)


async def test_it_says_what_it_is(logind: StandinLogind) -> None:
    says = await properties(logind, names.CONTROL_PATH, names.CONTROL)
    assert "stand-in for systemd-logind" in says["WhatItIs"]


async def test_sessions_are_listed_as_logind_lists_them(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001, id="3")
    await logind.control.login("bob", 60002, seat="", type="tty", remote=True)
    assert await ask(logind, "ListSessions") == [
        ("3", 60001, "alice", "seat0", "/org/freedesktop/login1/session/_33"),
        ("c1", 60002, "bob", "", "/org/freedesktop/login1/session/c1"),
    ]
    assert await ask(logind, "ListUsers") == [
        (60001, "alice", "/org/freedesktop/login1/user/_60001"),
        (60002, "bob", "/org/freedesktop/login1/user/_60002"),
    ]


async def test_a_session_has_logind_s_properties(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001, id="3", type="wayland", desktop="GNOME", vtnr=2, service="gdm")
    path = await ask(logind, "GetSession", "s", "3")
    session = await properties(logind, path, names.SESSION)
    expected = {
        "Id": "3",
        "User": (60001, "/org/freedesktop/login1/user/_60001"),
        "Name": "alice",
        "Seat": ("seat0", "/org/freedesktop/login1/seat/seat0"),
        "VTNr": 2,
        "Type": "wayland",
        "Class": "user",
        "Desktop": "GNOME",
        "Service": "gdm",
        "Scope": "session-3.scope",
        "Active": True,
        "State": "active",
        "LockedHint": False,
        "IdleHint": False,
    }
    assert expected.items() <= session.items()
    assert session["Timestamp"] > session["TimestampMonotonic"] > 0


async def test_seat_and_user_point_at_the_session(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    reference = ("c1", "/org/freedesktop/login1/session/c1")
    seat = await properties(logind, names.seat_path("seat0"), names.SEAT)
    assert (seat["ActiveSession"], seat["Sessions"]) == (reference, [reference])
    user = await properties(logind, await ask(logind, "GetUser", "u", 60001), names.USER)
    assert (user["Display"], user["Sessions"], user["State"]) == (reference, [reference], "active")


async def test_an_empty_seat_and_a_seatless_session(logind: StandinLogind) -> None:
    seat = await properties(logind, names.seat_path("seat0"), names.SEAT)
    assert seat["ActiveSession"] == ("", "/")
    await logind.control.login("alice", 60001, seat="", type="tty")
    session = await properties(logind, names.session_path("c1"), names.SESSION)
    assert (session["Seat"], session["Active"]) == (("", "/"), True)


async def test_login_and_logout_are_signalled_and_the_objects_come_and_go(logind: StandinLogind) -> None:
    path = names.session_path("c1")
    async with signals_of(logind, names.MANAGER) as signals:
        await logind.control.login("alice", 60001)
        await logind.control.logout("c1")
        heard = [await signals.receive() for _ in range(4)]
    assert [(signal.member, signal.body) for signal in heard] == [
        ("UserNew", [60001, names.user_path(60001)]),
        ("SessionNew", ["c1", path]),
        ("SessionRemoved", ["c1", path]),
        ("UserRemoved", [60001, names.user_path(60001)]),
    ]
    with pytest.raises(CallError, match="no object"):
        await properties(logind, path, names.SESSION)


async def test_a_lock_is_signalled_and_the_locker_confirms_it(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    async with (
        signals_of(logind, names.SESSION) as asked,
        signals_of(logind, PROPERTIES_INTERFACE) as changed,
    ):
        await ask(logind, "LockSession", "s", "c1")
        assert (await asked.receive()).member == "Lock"
        interface, values, invalidated = (await changed.receive()).body
    assert (interface, values["LockedHint"].value, invalidated) == (names.SESSION, True, [])


async def test_without_a_locker_nothing_confirms(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    await logind.control.set_locker("c1", present=False)
    async with signals_of(logind, names.SESSION) as asked:
        await ask(logind, "Lock", path=names.session_path("c1"))
        assert (await asked.receive()).member == "Lock"
    assert not (await properties(logind, names.session_path("c1"), names.SESSION))["LockedHint"]


async def test_switching_is_told_by_the_seat(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    await logind.control.login("bob", 60002)
    async with signals_of(logind, PROPERTIES_INTERFACE) as changed:
        await logind.control.set_active("seat0", "c1")
        heard = [await changed.receive() for _ in range(3)]
    assert [(signal.path.rpartition("/")[2], signal.body[1]) for signal in heard[:2]] == [
        ("c2", {"Active": heard[0].body[1]["Active"]}),
        ("c1", {"Active": heard[1].body[1]["Active"]}),
    ]
    assert [signal.body[1]["Active"].value for signal in heard[:2]] == [False, True]
    assert heard[2].body[1]["ActiveSession"].value == ("c1", names.session_path("c1"))


async def test_a_process_and_its_children_are_in_the_session(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    with pytest.raises(CallError) as caught:
        await ask(logind, "GetSessionByPID", "u", os.getpid())
    assert caught.value.name == names.NO_SESSION_FOR_PID
    await logind.control.add_process("c1", os.getpid())
    for pid in (os.getpid(), 0, logind.pid):
        assert await ask(logind, "GetSessionByPID", "u", pid) == names.session_path("c1")


async def test_a_process_may_end_with_its_session(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    async with await anyio.open_process(["sleep", "60"]) as process:
        await logind.control.add_process("c1", process.pid, ends=True)
        await logind.control.logout("c1")
        assert await process.wait() < 0


async def test_a_process_that_is_not_there_is_refused(logind: StandinLogind) -> None:
    await logind.control.login("alice", 60001)
    async with await anyio.open_process(["true"]) as process:
        await process.wait()
    with pytest.raises(CallError, match="there is no process"):
        await logind.control.add_process("c1", process.pid)


async def inhibit(logind: StandinLogind, what: str, mode: str = "delay") -> int:
    body = (what, "the test", "to see", mode)
    reply = await logind.bus.call(names.LOGIN1, names.MANAGER_PATH, names.MANAGER, "Inhibit", "ssss", body)
    return int(reply.fds[reply.body[0]])


@pytest.mark.parametrize(
    ("announce", "member", "what"),
    [("shutdown", "PrepareForShutdown", "shutdown"), ("suspend", "PrepareForSleep", "sleep")],
)
async def test_an_action_waits_for_delay_inhibitors(
    logind: StandinLogind, announce: str, member: str, what: str
) -> None:
    go: Callable[[], Awaitable[tuple[int, list[str]]]] = getattr(logind.control, announce)
    lock = await inhibit(logind, "shutdown:sleep")
    done: list[list[str]] = []

    async def announce_it() -> None:
        done.append((await go())[1])

    async with signals_of(logind, names.MANAGER) as signals, anyio.create_task_group() as tasks:
        tasks.start_soon(announce_it)
        announced = await signals.receive()
        assert (announced.member, announced.body) == (member, [True])
        manager = await properties(logind, names.MANAGER_PATH, names.MANAGER)
        assert manager[f"PreparingFor{what.title()}"]
        assert done == []
        os.close(lock)
    assert done == [[]]


async def test_nobody_holds_an_action_for_longer_than_the_maximum(address: str) -> None:
    async with standin_logind(address, "--inhibit-delay-max", DELAY_MAX) as logind:
        lock = await inhibit(logind, "shutdown")
        microseconds, holding = await logind.control.shutdown()
        os.close(lock)
    assert holding == ["the test"]
    assert microseconds >= float(DELAY_MAX) * 1_000_000


async def test_an_inhibitor_ends_with_its_last_descriptor(logind: StandinLogind) -> None:
    lock = await inhibit(logind, "idle:shutdown", "block")
    copy = os.dup(lock)
    manager = await properties(logind, names.MANAGER_PATH, names.MANAGER)
    assert (manager["BlockInhibited"], manager["DelayInhibited"]) == ("shutdown:idle", "")
    assert [row[:4] for row in await ask(logind, "ListInhibitors")] == [
        ("shutdown:idle", "the test", "to see", "block")
    ]
    async with signals_of(logind, PROPERTIES_INTERFACE) as changed:
        os.close(lock)
        os.close(copy)
        values = (await changed.receive()).body[1]
    assert values["BlockInhibited"].value == ""


@pytest.mark.parametrize(("what", "mode"), [("tea", "delay"), ("idle", "delay"), ("sleep", "please")])
async def test_locks_that_logind_refuses(logind: StandinLogind, what: str, mode: str) -> None:
    with pytest.raises(CallError) as caught:
        await inhibit(logind, what, mode)
    assert caught.value.name == names.INVALID_ARGS


async def test_resume_is_announced_and_locks_can_be_taken_again(logind: StandinLogind) -> None:
    async with signals_of(logind, names.MANAGER) as signals:
        await logind.control.suspend()
        with pytest.raises(CallError) as caught:
            await inhibit(logind, "sleep")
        await logind.control.resume()
        heard = [(await signals.receive()).body for _ in range(2)]
    assert caught.value.name == names.OPERATION_IN_PROGRESS
    assert heard == [[True], [False]]
    os.close(await inhibit(logind, "sleep"))


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("busctl") is None, reason="needs busctl, and root to act as another user"
)
async def test_a_user_may_lock_his_own_session_and_no_other(address: str, logind: StandinLogind) -> None:
    # A bus lets only users in that the system knows.
    uid = pwd.getpwnam("nobody").pw_uid
    await logind.control.login("nobody", uid)
    await logind.control.login("alice", 60001)
    Path(address.partition("=")[2]).parent.chmod(0o755)
    assert await lock_as(uid, address, "c1") == ""
    assert await lock_as(uid, address, "c2") == "Call failed: Interactive authentication required.\n"


async def lock_as(uid: int, address: str, session: str) -> str:
    """What busctl says when a user locks a session."""
    call = [names.LOGIN1, names.MANAGER_PATH, names.MANAGER, "LockSession", "s", session]
    command = ["busctl", f"--address={address}", "call", *call]
    done = await anyio.run_process(command, check=False, user=uid, env={**os.environ, "LC_ALL": "C"})
    return done.stderr.decode()


async def test_a_second_one_on_the_same_bus_says_that_the_name_is_taken(
    address: str, logind: StandinLogind
) -> None:
    command = [sys.executable, "-m", "guestmux.demo.standin_logind", "--bus", address]
    second = await anyio.run_process(command, check=False, stderr=subprocess.PIPE)
    assert second.returncode == 1
    assert b"another process owns the bus name" in second.stderr


async def test_it_ends_with_its_bus() -> None:
    with private_bus() as bus:
        command = [sys.executable, "-m", "guestmux.demo.standin_logind", "--bus", bus.address]
        async with await anyio.open_process(command) as process:
            await wait_ready(process)
            bus.kill()
            assert await process.wait() == 0
            bus.restart()


@pytest.mark.parametrize("by", ["TerminateSession", "Terminate"])
async def test_terminate_is_answered_before_the_session_is_gone(logind: StandinLogind, by: str) -> None:
    await logind.control.login("alice", 60001)
    path = names.session_path("c1")
    async with (
        await anyio.open_process(["sh", "-c", "trap '' TERM; echo; read _"]) as process,
        signals_of(logind, names.MANAGER) as signals,
    ):
        assert process.stdout is not None
        await process.stdout.receive()
        await logind.control.add_process("c1", process.pid, ends=True)
        arguments = ("s", "c1") if by == "TerminateSession" else ()
        await ask(logind, by, *arguments, path=names.MANAGER_PATH if arguments else path)
        assert (await properties(logind, path, names.SESSION))["State"] == "closing"
        process.kill()
        assert (await signals.receive()).member == "SessionRemoved"
