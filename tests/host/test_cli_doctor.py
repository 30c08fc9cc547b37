"""`guestmux doctor`: each thing that can be wrong between host and guest is made wrong, and has to be found."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from guestmux import __version__
from guestmux.cli import exits, guest_checks
from guestmux.cli.app import run
from guestmux.cli.socket_checks import check_others
from guestmux.guest import ADDRESS_VARIABLE
from guestmux_protocol.addresses import Unix, Vsock
from guestmux_transport import dial
from guestmux_transport.pipe_errors import RefusedError
from tests.support.dbus_daemon import private_bus
from tests.support.eventd import running_eventd
from tests.support.pipes import pty_pair
from tests.support.qemu_ga import QEMU_GA
from tests.support.standin_guest import SILENCE, Refused, StandInGuest, session

pytestmark = pytest.mark.anyio

Doctor = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]
EVIL = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\r\n\x9b"


@pytest.fixture
def dialect() -> str:
    return "qmp"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs it; gives exit status, and findings by what was looked at."""
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)

    async def doctor(address: str | None, *options: str) -> tuple[int, dict[str, Any]]:
        where = [] if address is None else ["-c", address]
        status = await run_sync(run, [*where, "doctor", "--json", *options])
        report = json.loads(capsys.readouterr().out)
        return status, {row["check"]: row for row in report["findings"]}

    return doctor


@pytest.fixture
def eventd(standin: StandInGuest) -> StandInGuest:
    """A stand-in that says of itself what eventd says."""
    names = ["guest-get-sessions", "guest-ping"]
    commands = [{"name": name, "enabled": True} for name in names]
    standin.commands["guest-info"] = lambda _: {"version": __version__, "supported_commands": commands}
    standin.commands["query-version"] = lambda _: {"package": f"guestmux-{__version__}"}
    return standin


@pytest.fixture
def path() -> Iterator[str]:
    with TemporaryDirectory(prefix="guestmux-doctor-") as directory:
        yield f"{directory}/s"


# ---- a guest that answers


@pytest.mark.parametrize("dialect", ["mux", "qmp", "qga"])
async def test_all_is_well(doctor: Doctor, eventd: StandInGuest, dialect: str) -> None:
    agents = [{"name": "guestmux-session", "version": "1"}]
    eventd.sessions = [session("c2", agents=agents), session("c3"), session("c4", "root", uid=0)]
    status, found = await doctor(eventd.address)
    assert status == exits.OK
    levels = {check: row["level"] for check, row in found.items()}
    assert levels.pop("clock") == "note", "no event, no time"
    assert set(levels.values()) == {"ok"}, found
    assert found["dialect"]["what"].startswith(f"{dialect}: ")
    assert found["agent"]["what"] == f"guestmux-eventd {__version__}"
    assert found["user alice"]["what"] == "guestmux-session 1 in c2"
    assert found["others"]["what"] == "no other program is connected"


async def test_text_is_aligned(
    eventd: StandInGuest, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    eventd.sessions = [session("c2")]
    assert await run_sync(run, ["doctor", "-c", eventd.address]) == exits.FAILED
    lines = capsys.readouterr().out.splitlines()
    assert f"ok       version     guestmux {__version__}" in lines
    assert "problem  user alice  sessions c2; no agent is registered" in lines
    assert "                     -> in the guest: guestmux-eventd --doctor, as alice" in lines
    assert lines[-1] == "1 problem, 1 note"


async def test_a_session_without_an_agent(doctor: Doctor, eventd: StandInGuest) -> None:
    eventd.sessions = [session("c2"), session("c9", "bob", uid=1001, state="closing")]
    status, found = await doctor(eventd.address)
    assert status == exits.FAILED
    assert found["user alice"]["level"] == "problem"
    assert "user bob" not in found


async def test_another_version(doctor: Doctor, eventd: StandInGuest) -> None:
    info = {"version": "99.0", "supported_commands": [{"name": "guest-get-sessions", "enabled": True}]}
    eventd.commands["guest-info"] = lambda _: info
    _, found = await doctor(eventd.address)
    assert found["agent"]["level"] == "note"
    assert found["agent"]["what"].startswith("guestmux-eventd 99.0 in the guest, ")


async def test_a_guest_whose_clock_is_ahead(
    doctor: Doctor, eventd: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventd.emit("SESSION_LOGIN", session="c1")
    monkeypatch.setattr(guest_checks, "time", Clock(1_700_000_000 - 600))
    _, found = await doctor(eventd.address)
    assert found["clock"]["what"] == "the guest's is 602 s ahead of ours, or more"
    monkeypatch.setattr(guest_checks, "time", Clock(1_700_000_061.5))
    _, found = await doctor(eventd.address)
    assert found["clock"]["what"] == "not ahead of ours; the latest event is 60 s old"


class Clock:
    """A wall clock that stands."""

    perf_counter = staticmethod(time.perf_counter)

    def __init__(self, now: float) -> None:
        self._now = now

    def time(self) -> float:
        return self._now


@pytest.mark.parametrize(
    ("ahead", "exact", "level", "what"),
    [
        (1.0, True, "ok", "as ours"),
        (-90.0, True, "note", "the guest's is 90 s behind ours"),
        (90.0, True, "note", "the guest's is 90 s ahead of ours"),
        (-90.0, False, "ok", "not ahead of ours; the latest event is 90 s old"),
    ],
)
def test_clocks(ahead: float, exact: bool, level: str, what: str) -> None:
    found = guest_checks.judge_clock(ahead, exact=exact)
    assert (found.level, found.what) == (level, what)


async def test_a_guest_that_stops_answering(
    doctor: Doctor, eventd: StandInGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_checks, "CALL_TIMEOUT", 1.0)
    eventd.commands["guest-ping"] = lambda _: SILENCE
    status, found = await doctor(eventd.address)
    assert (status, found["answer"]["level"]) == (exits.FAILED, "problem")


async def test_a_slow_guest(doctor: Doctor, eventd: StandInGuest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_checks, "SLOW", 0.0)
    _, found = await doctor(eventd.address)
    assert (found["answer"]["level"], found["answer"]["do"]) == ("note", "is the guest, or the host, busy?")


async def test_a_guest_that_refuses(doctor: Doctor, eventd: StandInGuest) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise Refused("not today")

    eventd.commands["guest-info"] = refuse
    status, found = await doctor(eventd.address)
    assert (status, found["agent"]["what"]) == (exits.FAILED, "the guest says: not today")


async def test_a_guest_that_hangs_up(doctor: Doctor, eventd: StandInGuest) -> None:
    def hang_up(_: dict[str, Any]) -> Any:
        eventd.hang_up()
        return SILENCE

    eventd.commands["guest-info"] = hang_up
    status, found = await doctor(eventd.address)
    assert (status, found["calls"]["level"]) == (exits.FAILED, "problem")
    assert found["answer"]["level"] == "ok", "what was found before stays"


def _refuse_out_of_band(_: dict[str, Any]) -> Any:
    """As QEMU 7.2 does, whose query-version is no out-of-band command."""
    raise Refused("The command query-version does not support OOB")


@pytest.mark.parametrize("answer", [lambda _: {"package": "Debian 1:7.2"}, _refuse_out_of_band])
async def test_a_monitor_of_qemu(doctor: Doctor, standin: StandInGuest, answer: Any) -> None:
    standin.commands["query-version"] = answer
    status, found = await doctor(standin.address)
    assert (status, found["agent"]["level"]) == (exits.FAILED, "problem")
    assert "QEMU's own monitor" in found["agent"]["what"]


async def test_text_of_the_guest_cannot_reach_the_terminal(
    eventd: StandInGuest, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    eventd.sessions = [
        session(EVIL, EVIL, agents=[{"name": EVIL, "version": EVIL}]),
        session("c2", EVIL, uid=1),
    ]
    info = {"version": EVIL, "supported_commands": [{"name": "guest-get-sessions", "enabled": True}]}
    eventd.commands["guest-info"] = lambda _: info
    for options in ([], ["--json"]):
        await run_sync(run, ["doctor", "-c", eventd.address, *options])
        printed = "".join(capsys.readouterr()).replace("\n", "")
        assert "owned" in printed
        assert printed.isprintable()


# ---- nobody answers


async def test_no_address(doctor: Doctor) -> None:
    status, found = await doctor(None)
    assert (status, found["address"]["what"]) == (exits.FAILED, "none is given")


async def test_a_wrong_address(doctor: Doctor) -> None:
    status, found = await doctor("/run/vm/s")
    assert status == exits.FAILED
    assert found["address"]["what"].startswith("'/run/vm/s' is no address of a guest")


async def test_no_socket(doctor: Doctor, path: str) -> None:
    status, found = await doctor(f"unix:{path}")
    assert (status, found["path"]["what"]) == (exits.FAILED, f"{path}: No such file or directory")
    assert "connection" not in found


async def test_a_file_that_is_no_socket(doctor: Doctor, path: str) -> None:
    Path(path).touch()
    _, found = await doctor(f"unix:{path}")
    assert found["path"]["what"] == f"{path} is no socket"


async def test_a_socket_that_is_not_ours(doctor: Doctor, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        monkeypatch.setattr(os, "access", lambda *_: False)
        _, found = await doctor(f"unix:{path}")
    assert found["path"]["what"].startswith(f"{path}: permission denied; owner ")


async def test_a_socket_whose_qemu_is_gone(doctor: Doctor, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
    status, found = await doctor(f"unix:{path}")
    assert (status, found["path"]["level"]) == (exits.FAILED, "ok")
    assert found["connection"]["what"].endswith("the QEMU that made the socket is gone")


async def test_a_socket_with_nobody_behind_it(doctor: Doctor, path: str) -> None:
    """As QEMU's with no agent in the guest."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        status, found = await doctor(f"unix:{path}", "--connect-timeout", "0.05")
    assert (status, found["connection"]["level"]) == (exits.FAILED, "problem")
    assert "nobody answers" in found["connection"]["what"]
    assert "guestmux-guest or qemu-ga installed in it?" in found["connection"]["do"]


async def test_somebody_else_is_connected(doctor: Doctor, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(path)
        listener.listen()
        other.connect(path)
        assert "and 1 wait" in str(check_others(Unix(path)))
        accepted, _ = listener.accept()
        with accepted:
            status, found = await doctor(f"unix:{path}", "--connect-timeout", "0.05")
    assert status == exits.FAILED
    assert found["others"]["what"] == "another program is connected; a port has one host at a time"
    assert found["connection"]["what"] == "no answer: another program has the port"


def test_others_that_cannot_be_seen(path: str) -> None:
    assert check_others(Unix(path)) is None
    assert check_others(Unix(path), Path("/nonexistent")) is None


async def test_a_device_that_another_program_has(doctor: Doctor) -> None:
    with pty_pair() as (_host, device):
        fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        # As another process's: a lock belongs to the open file.
        fcntl.flock(fd, fcntl.LOCK_EX)
        status, found = await doctor(f"device:{device}")
        os.close(fd)
    assert (status, found["path"]["level"]) == (exits.FAILED, "ok")
    assert "another process holds the port" in found["connection"]["what"]


# ---- real ones


@pytest.mark.timeout(60)
async def test_a_real_eventd(doctor: Doctor) -> None:
    with private_bus() as bus, running_eventd(bus.address) as eventd:
        for address, dialect in ((eventd.qmp, "mux"), (eventd.qga, "qga")):
            status, found = await doctor(f"unix:{address}")
            assert status == exits.OK, found
            assert found["dialect"]["what"].startswith(dialect)
            assert found["agent"]["what"] == f"guestmux-eventd {__version__}"
            assert found["sessions"]["what"] == "nobody is logged in"


async def test_a_stock_agent(doctor: Doctor, path: str) -> None:
    if QEMU_GA is None:
        pytest.skip("qemu-ga is not installed")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        hand_over = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" -m unix-listen -t "$2"'
        command = ["bash", "-c", hand_over, QEMU_GA, str(listener.fileno()), str(Path(path).parent)]
        process = await anyio.open_process(
            command, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            status, found = await doctor(f"unix:{path}")
        finally:
            process.kill()
            await process.aclose()
    assert status == exits.OK, found
    assert found["agent"]["level"] == "note"
    assert found["agent"]["what"].startswith("a stock qemu-ga ")
    assert (found["clock"]["level"], found["clock"]["what"]) == ("ok", "as ours")


async def test_a_vsock_that_nobody_answers_at(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: Vsock) -> None:
        raise RefusedError("vsock:7:1234: the machine is there, but nobody listens at that port")

    monkeypatch.setattr(dial, "dial_vsock", refuse)
    status, found = await doctor("vsock:7:1234")
    assert status == exits.FAILED
    assert "vhost-vsock" in found["vsock"]["what"]
    assert "nobody listens at that port" in found["connection"]["what"]
    assert "vsock-listen:1234" in found["connection"]["do"]
