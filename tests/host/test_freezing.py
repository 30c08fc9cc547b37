"""Freezing, and the thaw that follows whatever happens: the library and `guestmux fs freeze --run`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

import guestmux
from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux.guest import ADDRESS_VARIABLE
from tests.support.standin_guest import SILENCE, Refused, StandInGuest

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]


class Disk:
    """What is frozen in a guest."""

    def __init__(self, standin: StandInGuest) -> None:
        self.frozen = False
        self.history: list[str] = []
        standin.commands["guest-fsfreeze-freeze"] = self.freeze
        standin.commands["guest-fsfreeze-freeze-list"] = self.freeze
        standin.commands["guest-fsfreeze-thaw"] = self.thaw
        standin.commands["guest-fsfreeze-status"] = lambda _: "frozen" if self.frozen else "thawed"

    def freeze(self, _: dict[str, Any]) -> Any:
        if self.frozen:
            raise Refused("Command guest-fsfreeze-freeze has been disabled", "CommandNotFound")
        self.frozen = True
        self.history.append("freeze")
        return 2

    def thaw(self, _: dict[str, Any]) -> Any:
        self.history.append("thaw")
        was, self.frozen = self.frozen, False
        return 2 if was else 0


@pytest.fixture
def disk(standin: StandInGuest) -> Disk:
    return Disk(standin)


@pytest.fixture
def cli(standin: StandInGuest, capfd: pytest.CaptureFixture[str]) -> Cli:
    async def cli(*arguments: str) -> tuple[int, str, str]:
        status = await run_sync(run, ["-c", standin.address, *arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


async def test_step_by_step(guest: guestmux.Guest, standin: StandInGuest, disk: Disk) -> None:
    assert await guest.freeze_status() == "thawed"
    assert await guest.freeze(["/srv"]) == 2
    assert await guest.freeze_status() == "frozen"
    assert await guest.thaw() == 2
    request = await standin.until_asked("guest-fsfreeze-freeze-list")
    assert request.arguments == {"mountpoints": ["/srv"]}


async def test_a_block(guest: guestmux.Guest, disk: Disk) -> None:
    async with guest.frozen() as count:
        assert count == 2
        assert disk.frozen
    assert disk.history == ["freeze", "thaw"]


async def test_a_block_that_fails(guest: guestmux.Guest, disk: Disk) -> None:
    with pytest.raises(ZeroDivisionError):
        async with guest.frozen():
            raise ZeroDivisionError
    assert disk.history == ["freeze", "thaw"]


async def test_a_block_that_is_cancelled(guest: guestmux.Guest, disk: Disk) -> None:
    with anyio.CancelScope() as scope:
        async with guest.frozen():
            scope.cancel()
            await anyio.sleep_forever()
    assert disk.history == ["freeze", "thaw"]


async def test_a_freeze_without_an_answer(guest: guestmux.Guest, disk: Disk, standin: StandInGuest) -> None:
    def freeze(arguments: dict[str, Any]) -> Any:
        disk.freeze(arguments)
        return SILENCE

    standin.commands["guest-fsfreeze-freeze"] = freeze
    with pytest.raises(guestmux.CallTimeout):
        async with guest.frozen(timeout=0.05):
            pytest.fail("it was not known to be frozen")
    assert disk.history == ["freeze", "thaw"]


async def test_what_others_froze_stays_frozen(guest: guestmux.Guest, disk: Disk) -> None:
    disk.frozen = True
    with pytest.raises(guestmux.CommandDisabled):
        async with guest.frozen():
            pytest.fail("it was frozen before")
    assert disk.history == []


async def test_a_connection_lost_meanwhile(guest: guestmux.Guest, standin: StandInGuest, disk: Disk) -> None:
    async with guest.frozen():
        standin.hang_up()
        while guest.connected:
            await anyio.lowlevel.checkpoint()
    assert disk.history == ["freeze", "thaw"]


async def test_trim(guest: guestmux.Guest, standin: StandInGuest) -> None:
    standin.commands["guest-fstrim"] = lambda _: {"paths": [{"path": "/", "trimmed": 7}]}
    [result] = await guest.trim(4096)
    assert (result.path, result.trimmed) == ("/", 7)
    assert (await standin.until_asked("guest-fstrim")).arguments == {"minimum": 4096}


async def test_commands(cli: Cli, standin: StandInGuest, disk: Disk) -> None:
    assert await cli("fs", "status") == (exits.OK, "thawed\n", "")
    assert await cli("fs", "freeze") == (exits.OK, "frozen: 2; until: guestmux fs thaw\n", "")
    assert await cli("fs", "status") == (exits.OK, "frozen\n", "")
    assert await cli("fs", "thaw") == (exits.OK, "thawed: 2\n", "")
    standin.commands["guest-fstrim"] = lambda _: {
        "paths": [{"path": "/", "trimmed": 5_000_000}, {"path": "/boot", "error": "not supported"}]
    }
    _, out, _ = await cli("fs", "trim", "--minimum", "7")
    assert [line.split() for line in out.splitlines()] == [
        ["MOUNTPOINT", "TRIMMED", "NOTE"],
        ["/", "4.8", "MiB", "-"],
        ["/boot", "-", "not", "supported"],
    ]
    assert '"trimmed": 5000000' in (await cli("fs", "trim", "--json"))[1]


async def test_list(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["guest-get-fsinfo"] = lambda _: [
        {"name": "vda2", "mountpoint": "/srv", "type": "xfs", "disk": []},
        {
            "name": "vda1",
            "mountpoint": "/",
            "type": "ext4",
            "used-bytes": 1 << 30,
            "total-bytes": 4 << 30,
            "disk": [],
        },
    ]
    _, out, _ = await cli("fs", "list")
    assert out.splitlines() == [
        "MOUNTPOINT  DEVICE  TYPE  SIZE     USED     USE",
        "/           vda1    ext4  4.0 GiB  1.0 GiB  25%",
        "/srv        vda2    xfs   -        -        -",
    ]
    assert '"mountpoint": "/"' in (await cli("fs", "list", "--json"))[1]


async def test_a_command_while_frozen(cli: Cli, disk: Disk, tmp_path: Path) -> None:
    status, out, _ = await cli("fs", "freeze", "--run", "echo snapshot; exit 3")
    assert (status, out) == (3, "snapshot\n")
    assert disk.history == ["freeze", "thaw"]
    assert (await cli("fs", "freeze", "/", "--run", "kill -9 $$"))[0] == 137


async def test_a_command_that_takes_too_long(cli: Cli, disk: Disk) -> None:
    status, _, err = await cli("fs", "freeze", "--run", "exec sleep 1000", "--limit", "0.1")
    assert status == exits.TIMEOUT
    assert "not consistent" in err
    assert disk.history == ["freeze", "thaw"]


async def test_nothing_to_freeze(cli: Cli, standin: StandInGuest, disk: Disk) -> None:
    standin.commands["guest-fsfreeze-freeze-list"] = lambda _: 0
    status, _, err = await cli("fs", "freeze", "/nosuch", "--run", "true")
    assert (status, err) == (exits.OK, "guestmux: nothing was frozen: no file system is mounted there\n")


async def test_a_freeze_that_is_refused_runs_nothing(cli: Cli, disk: Disk) -> None:
    disk.frozen = True
    status, out, err = await cli("fs", "freeze", "--run", "echo snapshot")
    assert (status, out) == (exits.REFUSED, "")
    assert "still be frozen" not in err
    assert disk.frozen


async def test_a_thaw_that_fails_is_said(cli: Cli, standin: StandInGuest, disk: Disk) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("the disk is gone")

    standin.commands["guest-fsfreeze-thaw"] = refuse
    status, _, err = await cli("fs", "freeze", "--run", "true")
    assert status == exits.FAILED
    assert "may still be frozen: guestmux fs thaw" in err


async def test_a_limit_needs_a_command(cli: Cli) -> None:
    assert (await cli("fs", "freeze", "--limit", "3"))[0] == exits.USAGE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_thaws(standin: StandInGuest, disk: Disk, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "guestmux", "fs", "freeze", "--run", "echo ready; exec sleep 1000"]
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    async with await anyio.open_process(command, env=environment) as process:
        assert process.stdout
        assert await process.stdout.receive() == b"ready\n"
        assert disk.frozen
        process.send_signal(number)
        assert await process.wait() == 128 + number
    assert disk.history == ["freeze", "thaw"]
