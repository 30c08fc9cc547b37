"""`guestmux os`, `net`, `shutdown`, `reboot`, `suspend`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from anyio.to_thread import run_sync

import guestmux
from guestmux import leaving
from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux.cli.sizes import offset, share, size
from tests.support.standin_guest import SILENCE, StandInGuest

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def dialect() -> str:
    return "qmp"


@pytest.fixture
def cli(standin: StandInGuest, capfd: pytest.CaptureFixture[str]) -> Cli:
    async def cli(*arguments: str) -> tuple[int, str, str]:
        status = await run_sync(run, ["-c", standin.address, *arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


async def test_facts_of_a_stock_agent(stock: str) -> None:
    async with guestmux.connect(stock) as guest:
        assert (await guest.os_info()).machine
        assert await guest.host_name()
        assert (await guest.timezone()).offset % 60 == 0
        assert await guest.time() > 1_600_000_000_000_000_000
        assert "lo" in [interface.name for interface in await guest.network_interfaces()]
        assert all(filesystem.mountpoint for filesystem in await guest.filesystems())
        assert await guest.freeze_status() == "thawed"


def test_the_command_line_on_a_stock_agent(stock: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("os", "net", "users"):
        assert run(["-c", stock, command]) == exits.OK
        assert run(["-c", stock, command, "--json"]) == exits.OK
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) is not None
    assert run(["-c", stock, "fs", "list"]) == exits.OK
    assert run(["-c", stock, "fs", "status"]) == exits.OK


async def test_os(cli: Cli, standin: StandInGuest) -> None:
    standin.commands["guest-get-osinfo"] = lambda _: {"pretty-name": "X\x1b[2J 1", "kernel-release": "6.1"}
    standin.commands["guest-get-timezone"] = lambda _: {"zone": "NST", "offset": -12600}
    standin.commands["guest-get-load"] = lambda _: {"load1m": 1, "load5m": 0.5, "load15m": 0}
    status, out, _ = await cli("os")
    assert status == exits.OK
    assert out.splitlines() == [
        "system    X\\x1b[2J 1",
        "kernel    6.1",
        "timezone  NST UTC-03:30",
        "load      1.00 0.50 0.00",
    ]
    _, out, _ = await cli("os", "--json")
    assert json.loads(out)["timezone"] == {"zone": "NST", "offset": -12600}
    assert "host-name" not in json.loads(out)


async def test_net(cli: Cli, standin: StandInGuest) -> None:
    counters = dict.fromkeys(
        [f"{way}-{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errs", "dropped")], 2048
    )
    address = {"ip-address": "10.0.0.2", "ip-address-type": "ipv4", "prefix": 8}
    standin.commands["guest-network-get-interfaces"] = lambda _: [
        {
            "name": "eth0",
            "hardware-address": "52:54:00:12:34:56",
            "ip-addresses": [address],
            "statistics": counters,
        },
        {"name": "sit0"},
    ]
    _, out, _ = await cli("net")
    assert out.splitlines() == [
        "INTERFACE  HARDWARE           ADDRESSES   RECEIVED  SENT",
        "eth0       52:54:00:12:34:56  10.0.0.2/8  2.0 KiB   2.0 KiB",
        "sit0       -                  -           -         -",
    ]
    assert json.loads((await cli("net", "--json"))[1])[0]["ip-addresses"] == [address]


@pytest.mark.parametrize(
    ("arguments", "command", "sent"),
    [
        (["shutdown"], "guest-shutdown", {"mode": "powerdown"}),
        (["shutdown", "--halt"], "guest-shutdown", {"mode": "halt"}),
        (["reboot"], "guest-shutdown", {"mode": "reboot"}),
        (["suspend"], "guest-suspend-ram", {}),
        (["suspend", "--mode", "disk"], "guest-suspend-disk", {}),
    ],
)
async def test_power(
    cli: Cli, standin: StandInGuest, arguments: list[str], command: str, sent: dict[str, Any]
) -> None:
    def leave(_: dict[str, Any]) -> Any:
        standin.hang_up()
        return SILENCE

    standin.commands[command] = leave
    assert await cli(*arguments) == (exits.OK, "", "")
    assert standin.requests[command][0].arguments == sent


async def test_a_guest_that_stays(cli: Cli, standin: StandInGuest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "REFUSAL_TIME", 0.05)
    standin.commands["guest-shutdown"] = lambda _: SILENCE
    assert (await cli("shutdown", "--timeout", "0.1"))[0] == exits.TIMEOUT
    assert (await cli("shutdown", "--no-wait"))[0] == exits.OK
    del standin.commands["guest-shutdown"]
    assert (await cli("shutdown"))[0] == exits.NOT_FOUND


def test_numbers() -> None:
    assert [size(count) for count in (0, 1023, 1024, 5_000_000, 1 << 60)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "4.8 MiB",
        "1048576.0 TiB",
    ]
    assert share(1, 0) == "-"
    assert offset(0) == "UTC+00:00"
