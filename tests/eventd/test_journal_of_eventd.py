"""What a real eventd makes of its state directory: hosts hear everything, and how the journal stands."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_eventd.daemon import BOOT_VARIABLE
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.journals import fill, mounted_memory
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NAME = "journal.sqlite"


@pytest.fixture
async def logind(bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(bus.address) as logind:
        yield logind


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory, as systemd makes it."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


@contextmanager
def eventd_with(bus: PrivateBus, state: Path, *options: str) -> Iterator[Eventd]:
    config = state.parent / "eventd.toml"
    config.write_text("\n".join([f'journal-directory = "{state}"', *options]))
    with running_eventd(bus.address, "--config", str(config)) as eventd:
        yield eventd


async def journal_state(host: RawHost) -> str:
    return str((await host.ask("guest-info"))["return"]["events"]["journal"])


def others_write(state: Path) -> None:
    state.chmod(0o777)


def is_gone(state: Path) -> None:
    state.rmdir()


def is_a_file(state: Path) -> None:
    state.rmdir()
    state.touch()


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (is_gone, "absent", "No such file or directory"),
        (is_a_file, "absent", "no directory"),
        (others_write, "owner", "others may write to it (mode 777)"),
    ],
)
async def test_a_directory_that_cannot_be_used(
    bus: PrivateBus, logind: StandinLogind, state: Path, spoil: Callable[[Path], None], kind: str, said: str
) -> None:
    spoil(state)
    with eventd_with(bus, state) as eventd:
        host = await eventd.qmp_host()
        await host.ask("guest-event-subscribe", events=["SESSION_LOGIN", "BEACON"], beacon=3600)
        assert (await host.event("BEACON"))["journal"] == kind
        assert await journal_state(host) == kind
        assert f"{said}; events are kept in memory only" in eventd.log
        await logind.control.login("alice", 1000)
        assert (await host.event("SESSION_LOGIN"))["user"] == "alice"


async def test_a_journal_that_another_process_has(
    bus: PrivateBus, logind: StandinLogind, state: Path
) -> None:
    with eventd_with(bus, state), eventd_with(bus, state) as second:
        assert await journal_state(await second.qmp_host()) == "locked"
        assert "another process has it open" in second.log


async def test_without_a_journal(bus: PrivateBus, logind: StandinLogind, state: Path) -> None:
    with eventd_with(bus, state, "journal = false") as eventd:
        assert await journal_state(await eventd.qmp_host()) == "off"
    assert list(state.iterdir()) == []


async def logged_in(eventd: Eventd, logind: StandinLogind, user: str) -> str:
    """Have a login told, and stored: it is, when it can be read that is only on disk. Returns the session."""
    host = await eventd.qmp_host()
    begun = (await host.ask("guest-event-subscribe", events=["SESSION_LOGIN"]))["return"]
    session = await logind.control.login(user, 1000)
    assert (await host.event("SESSION_LOGIN"))["user"] == user
    await host.ask(
        "guest-event-subscribe",
        events=["SESSION_LOGIN"],
        since={"epoch": begun["epoch"], "seq": begun["seq"]},
    )
    assert (await host.event("SESSION_LOGIN"))["user"] == user
    host.close()
    return session


async def told_until(eventd: Eventd, user: str, since: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All logins and logouts since a position, up to a user's login."""
    host = await eventd.qmp_host()
    place = {"epoch": since["epoch"], "seq": since["seq"]}
    told = [("", await host.ask("guest-event-subscribe", events=["SESSION_LOG*"], since=place))]
    while (told[-1][0], told[-1][1].get("user")) != ("SESSION_LOGIN", user):
        message = await host.message()
        if message["event"] != "EVENTS_LOST":
            told.append((message["event"], message["data"]))
    host.close()
    return told[1:]


async def stream_of(eventd: Eventd) -> dict[str, Any]:
    """What guest-info says of the stream of events."""
    host = await eventd.qmp_host()
    stream: dict[str, Any] = (await host.ask("guest-info"))["return"]["events"]
    host.close()
    return stream


FROM_DISK = "memory-events = 1"
"""What is asked for again is read from the disk then, and what was not stored yet is stored first."""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_each_login_and_logout_is_told_once_over_a_restart(
    bus: PrivateBus, logind: StandinLogind, state: Path, how: signal.Signals
) -> None:
    with eventd_with(bus, state, FROM_DISK) as eventd:
        begun = await stream_of(eventd)
        await logged_in(eventd, logind, "alice")
        session = await logged_in(eventd, logind, "bob")
        eventd.stop(how)
        await logind.control.logout(session)
        await logind.control.login("carol", 1000)
        eventd.start()
        await logged_in(eventd, logind, "dave")
        told = await told_until(eventd, "dave", begun)
    assert [(name, data["user"], data.get("reason")) for name, data in told] == [
        ("SESSION_LOGIN", "alice", None),
        ("SESSION_LOGIN", "bob", None),
        ("SESSION_LOGOUT", "bob", "unseen"),
        ("SESSION_LOGIN", "carol", None),
        ("SESSION_LOGIN", "dave", None),
    ]
    assert [data["epoch"] == begun["epoch"] for _name, data in told] == [True, True, False, False, False]
    assert [data["seq"] for _name, data in told] == sorted({data["seq"] for _name, data in told})
    assert told[3][1]["login-time"] < told[4][1]["login-time"]


async def test_a_session_of_before_a_reboot_is_over_and_that_is_told_once(
    bus: PrivateBus, logind: StandinLogind, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BOOT_VARIABLE, "1")
    with eventd_with(bus, state, FROM_DISK) as eventd:
        begun = await stream_of(eventd)
        session = await logged_in(eventd, logind, "alice")
        eventd.stop(signal.SIGKILL)
        await logind.control.logout(session)
        monkeypatch.setenv(BOOT_VARIABLE, "2")
        for _ in range(2):
            eventd.start()
            await logged_in(eventd, logind, "bob")
            eventd.stop(signal.SIGKILL)
        eventd.start()
        await logged_in(eventd, logind, "carol")
        told = await told_until(eventd, "carol", begun)
    assert [(name, data["user"], data.get("reason")) for name, data in told] == [
        ("SESSION_LOGIN", "alice", None),
        ("SESSION_LOGOUT", "alice", "reboot"),
        ("SESSION_LOGIN", "bob", None),
        ("SESSION_LOGIN", "bob", None),
        ("SESSION_LOGIN", "carol", None),
    ]


async def test_bytes_that_were_turned_over(bus: PrivateBus, logind: StandinLogind, state: Path) -> None:
    with eventd_with(bus, state, FROM_DISK) as eventd:
        for user in ("alice", "bob"):
            await logged_in(eventd, logind, user)
        eventd.stop(signal.SIGTERM)
        turn_over(state / NAME)
        eventd.start()
        host = await eventd.qmp_host()
        while "put aside as journal.sqlite.corrupt" not in eventd.log:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)
        assert await journal_state(host) == "ok"
        host.close()
        await logged_in(eventd, logind, "carol")
    # Those that it found when it began, and the new one.
    assert stored_logins(state / NAME) == ["alice", "bob", "carol"]


def stored_logins(file: Path) -> list[str]:
    journal = sqlite3.connect(file)
    rows = journal.execute("SELECT data FROM event WHERE name = 'SESSION_LOGIN' ORDER BY seq").fetchall()
    journal.close()
    return [json.loads(data)["user"] for (data,) in rows]


def turn_over(file: Path) -> None:
    """Spoil the middle of each page but the first."""
    data = bytearray(file.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 512] = b"\xa5" * 512
    file.write_bytes(data)


async def test_a_directory_that_is_taken_away_while_it_runs(
    bus: PrivateBus, logind: StandinLogind, state: Path
) -> None:
    with eventd_with(bus, state) as eventd:
        host = await eventd.qmp_host()
        await host.ask("guest-event-subscribe", events=["SESSION_LOGIN", "BEACON"], beacon=3600)
        assert (await host.event("BEACON"))["journal"] == "ok"
        shutil.rmtree(state)
        await logind.control.login("alice", 1000)
        assert (await host.event("SESSION_LOGIN"))["user"] == "alice"
        assert (await host.event("BEACON"))["journal"] == "absent"
        assert f"{NAME}: removed while it was in use; events are kept in memory only" in eventd.log


async def test_a_full_disk_is_told(bus: PrivateBus, logind: StandinLogind, tmp_path: Path) -> None:
    with mounted_memory(tmp_path / "state") as state, eventd_with(bus, state) as eventd:
        host = await eventd.qmp_host()
        await host.ask("guest-event-subscribe", events=["SESSION_*", "BEACON"], beacon=3600)
        assert (await host.event("BEACON"))["journal"] == "ok"
        fill(state / "ballast")
        while await journal_state(host) == "ok":
            session = await logind.control.login("alice", 1000)
            assert (await host.event("SESSION_LOGIN"))["session"] == session
            await logind.control.logout(session)
        assert await journal_state(host) == "full"
        assert "no room left" in eventd.log
