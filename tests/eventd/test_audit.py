"""The record of refused and privileged calls: its fields, its bounds, and what is not in it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from guestmux_eventd.audit import RATES, Audit
from guestmux_eventd.caller import Caller
from guestmux_eventd.policy import Policy, PolicyRule
from guestmux_eventd.refusal import CommandFailure
from tests.support.fake_agents import FakeAgents, fake_agent

pytestmark = pytest.mark.anyio

HOST = Caller("the-port", "qmp")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    return caplog


def fields(record: logging.LogRecord) -> dict[str, Any]:
    names = ("port", "command", "session", "agent", "outcome", "duration")
    return {name: getattr(record, f"guestmux_{name}", None) for name in names}


@asynccontextmanager
async def audited(clock: Clock, *rules: PolicyRule) -> AsyncIterator[FakeAgents]:
    guest = FakeAgents(Policy(rules), Audit(clock))
    guest.add("system", "guest-exec", "guest-exec-status", "guest-get-time")
    guest.add("c1", "guest-file-open", "session-lock")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guest.router.run)
        yield guest
        tasks.cancel_scope.cancel()


async def test_what_the_system_agent_does_is_on_record_without_contents(
    records: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()

    def run(path: str, arg: list[str]) -> dict[str, int]:
        clock.now += 1.5
        return {"pid": 7}

    async with audited(clock) as guest:
        guest.behave["guest-exec"] = run
        await guest.ask(HOST, "guest-exec", path="/secret/path", arg=["--password=x"])
        (record,) = records.records
        assert (record.name, record.levelno) == ("guestmux.audit", logging.INFO)
        assert fields(record) == {
            "port": "the-port",
            "command": "guest-exec",
            "session": "system",
            "agent": "agent-system",
            "outcome": "done",
            "duration": "1.500000",
        }
        assert "secret" not in str(vars(record))
        assert "password" not in str(vars(record))


async def test_failures_and_cancellations_are_on_record(records: pytest.LogCaptureFixture) -> None:
    begun = anyio.Event()
    async with audited(Clock()) as guest:

        async def never(**_arguments: Any) -> None:
            begun.set()
            await anyio.sleep_forever()

        def fail() -> None:
            raise CommandFailure("no")

        guest.behave |= {"guest-get-time": fail, "guest-exec": never}
        with pytest.raises(CommandFailure):
            await guest.ask(HOST, "guest-get-time")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: guest.ask(HOST, "guest-exec", path="/x"))
            await begun.wait()
            tasks.cancel_scope.cancel()
        assert [fields(record)["outcome"] for record in records.records] == ["failed", "cancelled"]


async def test_in_a_session_files_and_programs_are_and_the_rest_is_not(
    records: pytest.LogCaptureFixture,
) -> None:
    async with audited(Clock()) as guest:
        guest.behave |= {
            "guest-file-open": lambda path: 3,
            "session-lock": lambda: {"locked": True, "confirmed": True},
        }
        await guest.ask(HOST, "session-lock", session="c1")
        await guest.ask(HOST, "guest-file-open", path="/x", session="c1")
        (record,) = records.records
        assert fields(record)["command"] == "guest-file-open"
        assert vars(record)["guestmux_uid"] == 1000


@pytest.mark.parametrize(
    "command",
    [
        "guest-file-upload",
        "guest-file-remove",
        "guest-file-stat",
        "guest-exec-attach",
        "guest-connect",
        "session-launch",
        "session-open-uri",
    ],
)
def test_whatever_touches_files_programs_and_connections_is(
    records: pytest.LogCaptureFixture, command: str
) -> None:
    Audit(Clock()).ran(HOST, fake_agent("c1"), command, "done", 0.0)
    (record,) = records.records
    assert fields(record)["command"] == command


def test_looking_at_files_hides_no_change_of_one(records: pytest.LogCaptureFixture) -> None:
    audit, agent = Audit(Clock()), fake_agent("c1")
    for _ in range(1000):
        audit.ran(HOST, agent, "guest-file-stat", "done", 0.0)
    audit.ran(HOST, agent, "guest-file-remove", "done", 0.0)
    assert fields(records.records[-1])["command"] == "guest-file-remove"


async def test_refusals_are_on_record(records: pytest.LogCaptureFixture) -> None:
    async with audited(Clock(), PolicyRule(deny=["guest-exec"])) as guest:
        with pytest.raises(CommandFailure):
            await guest.ask(HOST, "guest-exec", path="/x")
        guest.gate.status("frozen")
        with pytest.raises(CommandFailure):
            await guest.ask(HOST, "guest-get-time")
        assert [fields(record)["command"] for record in records.records] == ["guest-exec", "guest-get-time"]
        assert all(fields(record)["outcome"] == "refused" for record in records.records)
        assert "frozen state" in records.records[1].getMessage()


def test_a_flood_is_bounded_counted_and_hides_nothing_of_another_kind(
    records: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    audit, agent = Audit(clock), fake_agent("system")
    burst = int(RATES["use"][1])
    for _ in range(burst + 100):
        audit.ran(HOST, agent, "guest-file-read", "done", 0.0)
    assert len(records.records) == burst
    audit.ran(HOST, agent, "guest-exec", "done", 0.0)
    assert fields(records.records[-1])["command"] == "guest-exec"
    clock.now += 1
    audit.ran(HOST, agent, "guest-file-read", "done", 0.0)
    told = records.records[-2]
    assert told.getMessage() == "left out, too many at a time: 100 guest-file-read"
    assert vars(told)["guestmux_count"] == 100
    audit.tell_left_out()
    assert len(records.records) == burst + 3


async def test_what_was_left_out_is_told_at_the_latest_when_the_host_leaves(
    records: pytest.LogCaptureFixture,
) -> None:
    async with audited(Clock()) as guest:
        guest.behave["guest-get-time"] = lambda: 1
        for _ in range(int(RATES["call"][1]) + 2):
            await guest.ask(HOST, "guest-get-time")
        guest.router.host_left(HOST)
        assert records.records[-1].getMessage() == "left out, too many at a time: 2 guest-get-time"
