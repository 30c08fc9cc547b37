"""`guestmux-session log` against a real eventd: what a user sees of what left about them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from guestmux_session.__main__ import main
from guestmux_session.log_client import Call, SentEvent
from guestmux_session.log_lines import call_line, event_line
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.standin_logind import StandinLogind, standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND, EVENT = "__org.example_do", "__org.example_DONE"
OTHER = os.getuid() + 5


@pytest.fixture
async def logind(system_bus: PrivateBus) -> AsyncIterator[StandinLogind]:
    async with standin_logind(system_bus.address) as logind:
        session = await logind.control.login("tester", os.getuid(), id="c1")
        await logind.control.add_process(session, os.getpid())
        yield logind


@pytest.fixture
def eventd(system_bus: PrivateBus, logind: StandinLogind) -> Any:
    with running_eventd(system_bus.address) as eventd:
        yield eventd


@pytest.fixture
async def host(eventd: Eventd) -> RawHost:
    return await eventd.qmp_host()


@pytest.fixture
async def agent(system_bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(system_bus.address) as agent:
        await agent.register(commands=("as", [COMMAND]), events=("as", [EVENT]))
        yield agent


async def log(bus: PrivateBus, *options: str) -> list[str]:
    command = [sys.executable, "-m", "guestmux_session", "log", "--bus", bus.address, *options]
    return (await anyio.run_process(command)).stdout.decode().splitlines()


async def test_a_user_sees_the_events_that_were_sent_and_to_whom(
    system_bus: PrivateBus, eventd: Eventd, host: RawHost, agent: BareAgent, logind: StandinLogind
) -> None:
    await agent.emit(EVENT, text="before anybody subscribed")
    await host.subscribe("SESSION_*", "__*")
    await agent.emit(EVENT, text="grüße\u202e")
    await host.event(EVENT)
    await logind.control.set_idle("c1", idle=True)
    idle = await host.event("SESSION_IDLE")
    await logind.control.login("somebody", OTHER)
    await host.event("SESSION_LOGIN")

    told, idled = [json.loads(line) for line in await log(system_bus, "--mine", "--json")]
    port = {"port": f"unix-listen:{eventd.qmp}", "dialect": "qmp"}
    assert (told["event"], told["data"]["text"], told["sent"], told["waiting"]) == (
        EVENT,
        "grüße\u202e",
        [port],
        [],
    )
    assert (idled["event"], idled["data"], idled["sent"]) == ("SESSION_IDLE", idle, [port])

    line, _ = await log(system_bus, "--mine")
    assert f"{EVENT}  to {port['port']} (qmp)" in line
    assert '"text": "grüße\\u202e"' in line
    assert "epoch" not in line
    assert await log(system_bus, "--mine", "--since", "2999-01-01") == []


async def test_a_user_sees_what_was_called(system_bus: PrivateBus, host: RawHost, agent: BareAgent) -> None:
    for _ in range(3):
        await host.ask(COMMAND, session="c1", secret="not this")
    (called,) = [json.loads(line) for line in await log(system_bus, "--mine", "--json")]
    assert (called["command"], called["session"], called["outcome"], called["count"]) == (
        COMMAND,
        "c1",
        "done",
        3,
    )
    (line,) = await log(system_bus)
    assert f"{COMMAND} was called in c1" in line
    assert "not this" not in line
    assert await log(system_bus, "--since", "2999-01-01") == []


async def test_following_shows_what_comes_and_nothing_twice(
    system_bus: PrivateBus, eventd: Eventd, host: RawHost, agent: BareAgent
) -> None:
    await host.subscribe("__*")
    command = [
        sys.executable,
        "-m",
        "guestmux_session",
        "log",
        "--bus",
        system_bus.address,
        "--json",
        "--follow",
    ]
    async with await anyio.open_process(command, stderr=None) as process:
        for number in range(3):
            await host.ask(COMMAND, session="c1")
            shown = await next_line(process)
            while shown.get("command") is None:
                shown = await next_line(process)
            assert shown["count"] == number + 1
            await agent.emit(EVENT, number=number)
            assert (await next_line(process))["data"]["number"] == number
        eventd.stop()
        eventd.start()
        await (await eventd.qmp_host()).subscribe("__*")
        await agent.register(commands=("as", [COMMAND]), events=("as", [EVENT]))
        await agent.emit(EVENT, number=4)
        assert (await next_line(process))["data"]["number"] == 4
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def next_line(process: Process) -> dict[str, Any]:
    assert process.stdout
    line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1 << 20)
    decoded: dict[str, Any] = json.loads(line)
    return decoded


async def test_root_sees_all_and_others_themselves(
    system_bus: PrivateBus, host: RawHost, logind: StandinLogind
) -> None:
    await host.subscribe("SESSION_*")
    await logind.control.login("somebody", OTHER)
    await host.event("SESSION_LOGIN")
    everybody = [json.loads(line)["event"] for line in await log(system_bus, "--json")]
    assert ("SESSION_LOGIN" in everybody) == (os.getuid() == 0)
    assert await log(system_bus, "--json", "--mine") == []


async def test_without_eventd_it_says_so(system_bus: PrivateBus, capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "guestmux_session", "log", "--bus", system_bus.address]
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"guestmux-session: ")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("since", ["yesterday", "99999x", "999999d", "25:00", ""])
def test_what_is_no_time_is_refused(since: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["log", "--since", since])
    assert caught.value.code == 2
    assert "is no time" in capsys.readouterr().err


def test_lines_for_people() -> None:
    event = SentEvent(
        5, 1_000_000, "X", '{"epoch": "e", "seq": 5, "user": "a\\u001b[2J"}', [], [("p", "mux")], 7
    )
    assert event_line(event).endswith('  X  waits for p (mux)  {"user": "a\\u001b[2J"}')
    sent = SentEvent(5, 1_000_000, "X", "{}", [("p", "mux"), ("q", "qga")], [("r", "qmp")])
    assert "  to p (mux), q (qga); waits for r (qmp)  " in event_line(sent)
    call = Call(7, "c1", "guest-exec", "done", "p\n", 2, 1.0, 2.0)
    assert "  guest-exec was called in c1 by p\\n: done, 2 times since " in call_line(call)
