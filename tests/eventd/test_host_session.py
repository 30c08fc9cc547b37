"""One host connection, over a real socket pair: order, concurrency, back-pressure, events, half-close."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from guestmux_eventd.agent_table import Agent, AgentTable
from guestmux_eventd.changes import Changes
from guestmux_eventd.event_history import RUNS_AT_ONCE
from guestmux_eventd.event_log import EventLog
from guestmux_eventd.host_session import MAX_CONCURRENT, HostSession
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.identity import Identity
from guestmux_eventd.native import NativeCommands
from guestmux_eventd.refusal import CommandFailure
from guestmux_eventd.router import Router
from guestmux_eventd.session_table import SessionTable
from guestmux_eventd.token_bucket import TokenBucket
from guestmux_protocol.qga import QgaDialect
from guestmux_protocol.qmp import QmpDialect
from guestmux_protocol.registry import declared_command
from guestmux_protocol.sessions import Session
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import HIGH_WATER, Pipe
from tests.support.feeds import Feeds
from tests.support.host import RawHost

pytestmark = pytest.mark.anyio

SLOW, QUICK = "__org.example_slow", "__org.example_quick"


class FakeLinks:
    """Agents that answer when the test lets them."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.cancelled = 0
        self.release = anyio.Event()

    async def call(
        self, agent: Agent, command: str, arguments: dict[str, Any], *, port: str, timeout: float
    ) -> Any:
        self.called.append(command)
        try:
            if command == SLOW:
                await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return {"command": command, **arguments}


class Guest:
    """eventd's tables with one agent in session c1, and one host connection to them."""

    pipe: Pipe

    def __init__(self) -> None:
        self.links, self.hosts, self.changes = FakeLinks(), Hosts(), Changes()
        self.sessions, self.agents = SessionTable(), AgentTable()
        self.log = EventLog("e", lambda: 0.0)
        self.feeds = Feeds(self.log, self.hosts)
        self.sessions.add(Session(session="c1", user="alice", uid=1000))
        self.natives = NativeCommands(self.sessions, self.agents, self.log)
        self.router = Router(self.sessions, self.agents, self.links, self.changes)
        self.agents.add(self.agent())

    def agent(self, session: str = "c1", sender: str = ":1.1") -> Agent:
        commands = {name: declared_command(name, "") for name in (SLOW, QUICK)}
        bucket = TokenBucket(1, 1, lambda: 0.0)
        identity = Identity(1000, 1, "alice")
        return Agent(sender, "/a", "agent", "1", session, identity, bucket, commands)

    @asynccontextmanager
    async def host(self, dialect: type[QgaDialect | QmpDialect]) -> AsyncIterator[RawHost]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.pipe = owned_pipe("test", ours.detach())
        session = HostSession(self.pipe, dialect(), self.natives, self.router, self.feeds(), self.hosts)
        host = RawHost(theirs)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.run)
            yield host
            host.close()


@pytest.fixture
async def guest() -> Guest:
    return Guest()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


async def test_what_a_qga_host_sent_before_it_left_is_run(guest: Guest) -> None:
    """As qemu-ga does it; the replies are nobody's."""
    async with guest.host(QgaDialect) as host:
        quick = json.dumps({"execute": QUICK, "arguments": {"session": "c1"}}).encode()
        await host.send(quick * 20)
        host.close()
        await until(lambda: len(guest.links.called) == 20)


async def test_what_a_qmp_host_asked_for_ends_with_it(guest: Guest) -> None:
    async with guest.host(QmpDialect) as host:
        await host.negotiate("oob")
        await host.send(json.dumps({"exec-oob": SLOW, "arguments": {"session": "c1"}}).encode())
        await until(lambda: guest.links.called == [SLOW])
        host.close()
        await until(lambda: guest.links.cancelled == 1)


async def test_replies_come_in_request_order_though_one_has_to_wait(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        slow = json.dumps({"execute": SLOW, "arguments": {"session": "c1"}}).encode()
        await host.send(
            b'{"execute":"guest-sync","arguments":{"id":1}}' + slow + b'{"execute":"guest-ping"}hello\n'
        )
        assert await host.message() == {"return": 1}
        await until(lambda: guest.links.called == [SLOW])
        assert host.nothing_more()
        guest.links.release.set()
        assert (await host.message())["return"]["command"] == SLOW
        assert await host.message() == {"return": {}}
        assert (await host.message())["error"]["desc"] == "JSON parse error, invalid keyword 'hello'"


async def test_a_concurrent_command_overtakes_a_slow_one(guest: Guest) -> None:
    async with guest.host(QmpDialect) as host:
        await host.negotiate("oob")
        slow = {"exec-oob": SLOW, "arguments": {"session": "c1"}, "id": "slow"}
        await host.send(json.dumps(slow).encode())
        await until(lambda: guest.links.called == [SLOW])
        assert (await host.ask(QUICK, key="exec-oob", session="c1"))["return"]["command"] == QUICK
        assert (await host.ask("guest-ping"))["return"] == {}
        guest.links.release.set()
        assert (await host.message())["id"] == "slow"


async def test_too_many_concurrent_commands_are_refused_and_the_others_live(guest: Guest) -> None:
    async with guest.host(QmpDialect) as host:
        await host.negotiate("oob")
        slow = json.dumps({"exec-oob": SLOW, "arguments": {"session": "c1"}}).encode()
        await host.send(slow * (MAX_CONCURRENT + 1))
        assert "concurrent commands" in (await host.message())["error"]["desc"]
        assert (await host.ask("guest-ping"))["return"] == {}
        guest.links.release.set()
        for _ in range(MAX_CONCURRENT):
            assert "return" in await host.message()


async def test_a_flood_behind_a_slow_command_is_not_read(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        slow = json.dumps({"execute": SLOW, "arguments": {"session": "c1"}}).encode()
        flood = b'{"execute":"guest-ping"}\n' * 200_000
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.send, slow + flood)
            await until(lambda: guest.links.called == [SLOW])
            guest.links.release.set()
            assert (await host.message())["return"]["command"] == SLOW
            for _ in range(200_000):
                assert await host.line() == b'{"return": {}}'


async def test_a_host_that_never_reads_stops_being_read(guest: Guest) -> None:
    request = b'{"execute":"guest-info"}\n'
    async with guest.host(QgaDialect) as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.send, request * 100_000)
            await until(lambda: guest.pipe.pending > HIGH_WATER)
            received = guest.pipe.received
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert guest.pipe.received == received
            tasks.cancel_scope.cancel()
        assert guest.pipe.received < 100_000 * len(request)


async def test_the_host_that_leaves_takes_its_commands_with_it(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        await host.send(json.dumps({"execute": SLOW, "arguments": {"session": "c1"}}).encode())
        await until(lambda: guest.links.called == [SLOW])
    assert guest.links.cancelled == 1
    assert not guest.hosts.connected


async def test_a_host_that_only_shut_its_sending_side_gets_its_replies(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        await host.send(json.dumps({"execute": SLOW, "arguments": {"session": "c1"}}).encode())
        host.sock.shutdown(socket.SHUT_WR)
        await until(lambda: guest.links.called == [SLOW])
        guest.links.release.set()
        assert "return" in await host.message()
        with pytest.raises(EOFError):
            await host.line()


async def test_events_follow_the_reply_that_asked_for_them(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        guest.log.append("BEFORE", {}, "verified")
        assert list(await host.subscribe()) == ["c1"]
        guest.log.append("AFTER", {}, "verified")
        assert (await host.message())["event"] == "AFTER"
        assert guest.hosts.wanted() == ["*"]


async def test_a_host_that_never_asked_gets_no_events(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        guest.log.append("X", {}, "verified")
        assert await host.ask("guest-ping") == {"return": {}, "id": "guest-ping"}
        assert host.nothing_more()


@pytest.mark.parametrize("sync", ["guest-sync", "guest-sync-delimited"])
async def test_a_sync_on_a_qga_port_ends_the_subscription(guest: Guest, sync: str) -> None:
    async with guest.host(QgaDialect) as host:
        await host.subscribe()
        await host.ask(sync, id=1)
        guest.log.append("X", {}, "verified")
        assert (await host.ask("guest-ping"))["return"] == {}
        assert guest.hosts.wanted() == []


async def test_a_sync_on_a_qmp_port_does_not(guest: Guest) -> None:
    async with guest.host(QmpDialect) as host:
        await host.negotiate()
        await host.subscribe()
        await host.ask("guest-sync", id=1)
        guest.log.append("X", {}, "verified")
        assert (await host.message())["event"] == "X"


async def test_unsubscribing_patterns_leaves_the_others(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        await host.subscribe("A*", "B*")
        assert (await host.ask("guest-event-unsubscribe", events=["A*"]))["return"] == {}
        guest.log.append("A1", {}, "verified")
        guest.log.append("B1", {}, "verified")
        assert (await host.message())["event"] == "B1"
        assert (await host.ask("guest-event-unsubscribe"))["return"] == {}
        assert guest.hosts.wanted() == []
        assert (await host.ask("guest-event-unsubscribe"))["return"] == {}


async def test_since_replays_what_is_kept(guest: Guest) -> None:
    guest.log.append("A", {}, "verified")
    guest.log.append("B", {}, "verified")
    async with guest.host(QgaDialect) as host:
        await host.ask("guest-event-subscribe", since={"epoch": "e", "seq": 1})
        assert (await host.message())["event"] == "B"


async def test_a_position_that_was_not_reached_yet_begins_a_new_run_but_not_too_often(guest: Guest) -> None:
    """The machine's memory was set back: numbers that the host has seen must not be used again."""
    async with guest.host(QgaDialect) as host:
        guest.log.append("A", {}, "verified")
        for _ in range(int(RUNS_AT_ONCE)):
            since = {"epoch": guest.log.epoch, "seq": 77}
            await host.ask("guest-event-subscribe", since=since)
            lost = (await host.message())["data"]
            assert (lost["from"], lost["to"], lost["reason"]) == (0, 1, "rolled-back")
            assert lost["epoch"] == guest.log.epoch != since["epoch"]
        since = {"epoch": guest.log.epoch, "seq": 77}
        reply = await host.ask("guest-event-subscribe", since=since)
        assert "ends at 1" in reply["error"]["desc"]


async def test_a_bad_pattern_is_refused(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        reply = await host.ask("guest-event-subscribe", events=["[x]"])
        assert "no event pattern" in reply["error"]["desc"]


async def test_delivery_is_known_once_the_bytes_are_with_the_kernel(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        await host.subscribe()
        seq = guest.log.append("X", {}, "verified")
        assert await guest.hosts.deliver(seq, 5)
        assert (await host.message())["event"] == "X"


async def test_a_host_that_does_not_read_is_not_waited_for_longer_than_patience(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        await host.subscribe()
        for _ in range(5000):
            seq = guest.log.append("X", {"filler": "x" * 1000}, "verified")
        assert not await guest.hosts.deliver(seq, 0.01)


async def test_qmp_commands_do_not_exist_on_a_qga_port(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        for command in ("qmp_capabilities", "query-commands", "query-version"):
            assert (await host.ask(command))["error"]["class"] == "CommandNotFound"


async def test_every_command_is_listed(guest: Guest) -> None:
    async with guest.host(QmpDialect) as host:
        await host.negotiate()
        names = {entry["name"] for entry in (await host.ask("query-commands"))["return"]}
        assert {"guest-ping", "qmp_capabilities", QUICK} <= names
        schema = (await host.ask("guest-query-schema"))["return"]
        assert {e["name"] for e in schema if e["meta-type"] == "command"} == names
        info = (await host.ask("guest-info"))["return"]
        assert {e["name"] for e in info["supported_commands"]} == names


async def test_users_are_those_of_user_sessions_with_their_earliest_login(guest: Guest) -> None:
    guest.sessions.add(Session(session="c5", user="bob", uid=1, login_time=9.0))
    guest.sessions.add(Session(session="c6", user="bob", uid=1, login_time=5.0))
    guest.sessions.add(Session(session="g", user="gdm", uid=2, session_class="greeter"))
    async with guest.host(QgaDialect) as host:
        users = (await host.ask("guest-get-users"))["return"]
        assert users == [{"login-time": 0.0, "user": "alice"}, {"login-time": 5.0, "user": "bob"}]


@pytest.mark.parametrize(
    ("arguments", "desc"),
    [
        ({"session": "c9"}, "there is no session 'c9'"),
        ({"session": "c2"}, "no agent is registered in session 'c2'"),
        ({"session": 7}, "Invalid parameter type for 'session', expected: string"),
        ({"session": "c1", "wait": "x"}, "Invalid parameter type for 'wait', expected: number"),
        ({"session": "c1", "timeout": -1}, "Parameter 'timeout' expects a number of seconds"),
        ({}, "runs in a session: name it with 'session'"),
    ],
)
async def test_what_cannot_be_routed_is_said(guest: Guest, arguments: dict[str, Any], desc: str) -> None:
    guest.sessions.add(Session(session="c2", user="bob", uid=1001))
    async with guest.host(QgaDialect) as host:
        assert desc in (await host.ask(QUICK, **arguments))["error"]["desc"]


async def test_an_unknown_command_is_not_found_as_qemu_ga_says_it(guest: Guest) -> None:
    async with guest.host(QgaDialect) as host:
        for arguments in ({}, {"session": "c1"}, {"session": "c9", "timeout": "x"}):
            error = (await host.ask("guest-nonsense", **arguments))["error"]
            assert error["class"] == "CommandNotFound"
            assert error["desc"].startswith("The command guest-nonsense has not been found")


async def test_wait_parks_a_call_until_the_agent_registers(guest: Guest) -> None:
    guest.sessions.add(Session(session="c2", user="bob", uid=1001))
    async with guest.host(QmpDialect) as host:
        await host.negotiate("oob")
        parked = {"exec-oob": QUICK, "arguments": {"session": "user:bob", "wait": 20}, "id": "parked"}
        await host.send(json.dumps(parked).encode())
        assert (await host.ask("guest-ping"))["return"] == {}
        guest.agents.add(guest.agent("c2", ":1.2"))
        guest.changes.notify()
        assert (await host.message())["return"]["command"] == QUICK


async def test_a_wait_that_is_in_vain_ends(guest: Guest) -> None:
    guest.sessions.add(Session(session="c2", user="bob", uid=1001))
    async with guest.host(QgaDialect) as host:
        assert "no agent" in (await host.ask(QUICK, session="c2", wait=0.01))["error"]["desc"]


async def test_an_agent_that_breaks_its_own_schema_is_named(guest: Guest) -> None:
    commands = {"__org.example_n": declared_command("__org.example_n", '{"returns": "int"}')}
    bucket = TokenBucket(1, 1, lambda: 0.0)
    liar = Agent(":1.9", "/a", "liar", "1", "c1", Identity(1000, 1, "alice"), bucket, commands)
    guest.agents.add(liar)
    async with guest.host(QgaDialect) as host:
        desc = (await host.ask("__org.example_n", session="c1"))["error"]["desc"]
        assert "agent 'liar'" in desc
        assert "expected: integer" in desc


async def test_a_result_that_is_no_json_is_an_error_and_nothing_else(guest: Guest) -> None:
    async def call(*_args: Any, **_options: Any) -> Any:
        return {"x": float("nan")}

    guest.links.call = call  # type: ignore[method-assign]
    async with guest.host(QgaDialect) as host:
        assert "no JSON" in (await host.ask(QUICK, session="c1"))["error"]["desc"]
        assert (await host.ask("guest-ping"))["return"] == {}


async def test_a_failing_agent_is_an_error_of_its_class(guest: Guest) -> None:
    async def call(*_args: Any, **_options: Any) -> Any:
        raise CommandFailure("no", "CommandNotFound")

    guest.links.call = call  # type: ignore[method-assign]
    async with guest.host(QgaDialect) as host:
        assert (await host.ask(QUICK, session="c1"))["error"] == {"class": "CommandNotFound", "desc": "no"}


async def test_long_answers_to_a_flood_of_short_requests_are_not_heaped_up(guest: Guest) -> None:
    # One read's worth: some two thousand requests, some 17 MB of answers.
    count = 64 * 1024 // len(b'{"execute":"guest-query-schema"}')
    async with guest.host(QgaDialect) as host:
        await host.send(b'{"execute":"guest-query-schema"}' * count)
        await until(lambda: guest.pipe.pending > HIGH_WATER)
        assert guest.pipe.pending < 2 * HIGH_WATER
        await anyio.wait_all_tasks_blocked()
        assert guest.pipe.pending < 2 * HIGH_WATER
        for _ in range(count):
            await host.line()
