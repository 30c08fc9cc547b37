"""`guestmux events` with positions that it keeps, filters, rates and beacons."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from guestmux.cli import exits
from guestmux.cli.app import run
from guestmux.cli.cursors import default_cursor
from guestmux.guest import ADDRESS_VARIABLE
from guestmux_protocol.addresses import parse_dial_address
from tests.support.completion import completed
from tests.support.standin_guest import StandInGuest, session

pytestmark = pytest.mark.anyio

Cli = Callable[..., Awaitable[tuple[int, str, str]]]
SUBSCRIBE = "guest-event-subscribe"


@pytest.fixture(params=["qmp"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "guestmux"


@pytest.fixture
def cli(
    standin: StandInGuest, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Runs `guestmux events`; gives exit status, stdout, stderr."""
    monkeypatch.setenv(ADDRESS_VARIABLE, standin.address)

    async def cli(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await run_sync(run, ["events", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return cli


def beacons(standin: StandInGuest) -> None:
    """Have the guest send a beacon behind what it has for a subscription that asks for it."""
    subscribe = standin.commands[SUBSCRIBE]

    def with_beacon(arguments: dict[str, Any]) -> Any:
        answer = subscribe(arguments)
        if "beacon" in arguments:
            data = {"epoch": standin.epoch, "seq": len(standin.journal), "source": "verified"}
            beacon = standin.event("BEACON", {**data, "journal": "ok", "agents": 1, "frozen": True})
            standin.after_replay.append((beacon, arguments["subscription"]))
        return answer

    standin.commands[SUBSCRIBE] = with_beacon


async def test_goes_on_where_it_was(cli: Cli, standin: StandInGuest, state: Path) -> None:
    beacons(standin)
    assert await cli("--since", "last", "-F") == (exits.OK, "", "events received: 0\n")
    for name in ("A", "B", "C"):
        standin.emit(name)
    status, out, err = await cli("--since", "last", "--count", "2", "--verbose")
    (file,) = state.glob("events-*.cursor")
    assert (status, out) == (exits.OK, "A\nB\n")
    assert err == f"guestmux: begins after epoch-1:0; kept in {file}\nevents received: 2\n"
    assert (await cli("--since", "last", "--no-follow"))[1] == "C\n"
    assert (await cli("--since", "last", "--no-follow"))[:2] == (exits.OK, "")
    assert (await cli("--since", "last", "-F", "-n", "1"))[0] == exits.FAILED
    assert json.loads(file.read_text()) == {"epoch": "epoch-1", "seq": 3}


async def test_keeps_it_where_it_is_told(
    cli: Cli, standin: StandInGuest, state: Path, tmp_path: Path
) -> None:
    for name in ("A", "B", "C"):
        standin.emit(name)
    file = tmp_path / "x.cursor"
    for expected in ("B\n", "C\n"):
        assert (await cli("--cursor", str(file), "--since", "epoch-1:1", "-n", "1"))[1] == expected
    assert not state.exists()


async def test_begins_now(cli: Cli, standin: StandInGuest) -> None:
    standin.emit("A")
    assert (await cli("--since", "now", "--timeout", "0.05"))[:2] == (exits.FAILED, "")


@pytest.mark.parametrize(
    ("content", "said"), [("x", "this is no position; remove it"), (None, "cannot be read: Is a directory")]
)
async def test_a_file_that_is_none(cli: Cli, tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "cursor"
    file.mkdir() if content is None else file.write_text(content)
    status, out, err = await cli("--cursor", str(file))
    assert (status, out) == (exits.GUESTMUX_FAILED, "")
    assert err.startswith(f"guestmux: {file}: {said}")


async def test_no_place_for_a_file(cli: Cli, state: Path) -> None:
    state.parent.write_text("in the way")
    status, _, err = await cli("--since", "last")
    assert (status, err) == (exits.GUESTMUX_FAILED, f"guestmux: {state}: cannot be made: Not a directory\n")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_two_at_a_time_and_a_signal(
    cli: Cli, standin: StandInGuest, tmp_path: Path, how: signal.Signals
) -> None:
    file = tmp_path / "cursor"
    command = [sys.executable, "-m", "guestmux", "events", "--cursor", str(file)]
    environment = {**os.environ, ADDRESS_VARIABLE: standin.address}
    async with await anyio.open_process(command, stdout=PIPE, stderr=PIPE, env=environment) as process:
        await standin.until_asked(SUBSCRIBE)
        standin.emit("A")
        assert process.stdout
        assert await process.stdout.receive() == b"A\n"
        other = StandInGuest(tmp_path / "other", "qmp")
        await other.start()
        status, _, err = await cli("-c", other.address, "--cursor", str(file))
        await other.stop()
        assert (status, "another consumer" in err) == (exits.GUESTMUX_FAILED, True)
        process.send_signal(how)
        await process.wait()
    seq = json.loads(file.read_text())["seq"]
    assert seq == 1 if how != signal.SIGKILL else seq in (0, 1)


async def test_asks_for_less(cli: Cli, standin: StandInGuest) -> None:
    beacons(standin)
    options = ["-s", "c2", "-s", "c3", "--user", "alice", "--rate", "APP_*=2", "--rate", "X=0.5"]
    status, out, err = await cli("APP_*", *options, "--beacon", "30", "-F")
    assert status == exits.OK
    asked = standin.requests[SUBSCRIBE][0].arguments
    assert (asked["sessions"], asked["users"]) == (["c2", "c3"], ["alice"])
    assert asked["rate"] == {"APP_*": 2.0, "X": 0.5}
    assert out == ""
    assert "beacon: at event 0, journal ok, 1 agents, file systems are frozen" in err
    _, out, _ = await cli("--beacon", "30", "-F", "--json")
    assert json.loads(out)["stream"] == "beacon"


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "yesterday"],
        ["--since", ":1"],
        ["--rate", "APP_*"],
        ["--rate", "APP_*=x"],
        ["--rate", "a b=1"],
        ["--session", "active"],
        ["--session", "user:alice"],
        ["--beacon", "0.01"],
        [option for number in range(300) for option in ("-u", str(number))],
    ],
)
async def test_what_cannot_be(cli: Cli, options: list[str]) -> None:
    assert (await cli(*options))[0] == exits.USAGE


async def test_an_older_guest(cli: Cli, standin: StandInGuest) -> None:
    standin.can_name = False
    status, _, err = await cli("--user", "alice")
    assert status == exits.GUESTMUX_FAILED
    assert err.startswith("guestmux: the guest's guestmux is too old for events with users: ")


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_gaps_are_lines(cli: Cli, standin: StandInGuest, options: list[str]) -> None:
    async def disturb() -> None:
        await standin.until_asked(SUBSCRIBE)
        standin.lose(1, 3, "restart", names=["APP_*"])
        standin.lose(0, 9, "rolled-back")
        standin.journal = [standin.event("Y", {})] * 9
        standin.emit("X")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(disturb)
        _, out, err = await cli("APP_*", "X", "-n", "1", *options)
    if options:
        first = json.loads(out.splitlines()[0])
        assert first == {"stream": "gap", "from": 1, "to": 3, "reason": "restart", "names": ["APP_*"]}
    else:
        assert err.splitlines()[0] == "guestmux: events 1 to 3 (APP_*) are lost: restart"


class TestTheDefaultFile:
    def test_is_one_for_each_guest_and_what_is_asked(self, state: Path) -> None:
        def file(address: str, *asked: list[str]) -> Path:
            patterns, sessions, users = [*asked, [], [], []][:3]
            return default_cursor(parse_dial_address(address), patterns, sessions, users)

        files = [
            file("unix:/a"),
            file("device:/a"),
            file("unix:/b"),
            file("vsock:5:1"),
            file("unix:/a", ["A"]),
            file("unix:/a", [], ["A"]),
            file("unix:/a", [], [], ["A"]),
        ]
        assert len(set(files)) == len(files)
        assert {name.parent for name in files} == {state}
        assert file("unix:/a", ["A", "B"]) == file("unix:/a", ["B", "A", "A"])
        assert file("unix:x") == file(f"unix:{Path.cwd()}/x")
        assert state.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("given", ["", "relative"])
    def test_is_at_home_where_nothing_else_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", given)
        monkeypatch.setenv("HOME", str(tmp_path))
        file = default_cursor(parse_dial_address("unix:/a"), [], [], [])
        assert file.parent == tmp_path / ".local/state/guestmux"


async def test_completion(standin: StandInGuest) -> None:
    standin.sessions = [session("c2"), session("c3", user="bob"), session("c4", user="bob")]
    expected = {"-s": ["c2", "c3", "c4"], "-u": ["alice", "bob"]}
    for option, words in expected.items():
        lines = await completed(standin.address, "events", option, "")
        assert [line.rpartition(",")[2] for line in lines] == words
