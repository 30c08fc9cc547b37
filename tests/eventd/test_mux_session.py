"""A host that goes over to mux: requests, native commands, events; and back to QMP, of its own will or not."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from guestmux_eventd.event_log import EventLog
from guestmux_eventd.host_connection import HostConnection
from guestmux_eventd.hosts import Hosts
from guestmux_eventd.native import NativeCommands
from guestmux_protocol.messages import COMMAND_NOT_FOUND, GENERIC_ERROR
from guestmux_protocol.mux import RESET, Error, MuxLimits, Reply, Request, encode
from guestmux_protocol.qmp import QmpDialect
from guestmux_transport.owned_pipe import owned_pipe
from guestmux_transport.pipe import HIGH_WATER, Pipe
from tests.support.event_guests import Now
from tests.support.fake_agents import FakeAgents
from tests.support.feeds import Feeds
from tests.support.host import RawHost
from tests.support.mux_end import MuxEnd, back_in_json, mux_host

pytestmark = pytest.mark.anyio

SLOW, QUICK = "__org.example_slow", "__org.example_quick"
IN_SESSION = b'{"session": "c1"}'


class Guest(FakeAgents):
    """eventd's tables with one agent, and one host connection to them."""

    pipe: Pipe

    def __init__(self) -> None:
        super().__init__()
        self.log, self.hosts = EventLog("e", lambda: 12.5), Hosts()
        self.feeds = Feeds(self.log, self.hosts)
        self.natives = NativeCommands(self.sessions, self.agents, self.log)
        self.release, self.cancelled = anyio.Event(), 0
        self.behave |= {SLOW: self.slow, QUICK: lambda **arguments: {"quick": arguments}}
        self.add("c1", SLOW, QUICK)

    async def slow(self) -> Any:
        try:
            await self.release.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return "slow"

    @asynccontextmanager
    async def host(self, *, device: bool = False) -> AsyncIterator[RawHost]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.pipe = owned_pipe("test", ours.detach(), half_close=not device)
        connection = HostConnection(self.pipe, QmpDialect, self.natives, self.router, self.feeds, self.hosts)
        host = RawHost(theirs)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            await host.negotiate("oob")
            yield host
            host.close()

    @asynccontextmanager
    async def mux(self, limits: MuxLimits | None = None, *, device: bool = False) -> AsyncIterator[MuxEnd]:
        async with self.host(device=device) as host:
            yield await mux_host(host, limits)


@pytest.fixture
async def guest() -> Guest:
    return Guest()


def value(answer: Reply | Error) -> Any:
    assert isinstance(answer, Reply), answer
    return json.loads(answer.value)


def refusal(answer: Reply | Error) -> tuple[str, str]:
    assert isinstance(answer, Error), answer
    return answer.error_class, answer.desc


async def test_native_and_routed_commands(guest: Guest) -> None:
    async with guest.mux() as host:
        assert value(await host.ask("guest-ping")) == {}
        assert value(await host.ask("guest-sync", b'{"id": 5}')) == 5
        assert value(await host.ask(QUICK, b'{"session": "c1", "x": 1}')) == {"quick": {"x": 1}}


async def test_what_is_wrong_is_said_as_in_qmp(guest: Guest) -> None:
    async with guest.mux() as host:
        assert refusal(await host.ask("nothing")) == (
            COMMAND_NOT_FOUND,
            "The command nothing has not been found",
        )
        assert refusal(await host.ask("guest-sync"))[1] == "Parameter 'id' is missing"
        assert (
            refusal(await host.ask("guest-ping", b"[]"))[1]
            == "QMP input member 'arguments' must be an object"
        )
        assert "JSON parse error" in refusal(await host.ask("guest-ping", b"{"))[1]
        assert refusal(await host.ask("guest-mux-upgrade"))[0] == COMMAND_NOT_FOUND
        assert refusal(await host.ask("qmp_capabilities"))[0] == COMMAND_NOT_FOUND


async def test_arguments_have_the_limits_of_qmp(guest: Guest) -> None:
    async with guest.mux() as host:
        deep, many = b"[" * 2000 + b"]" * 2000, b"[" + b"{}," * 1_000_000 + b"1]"
        for nested, limit in ((deep, "nesting depth"), (many, "token count")):
            answer = await host.ask(QUICK, b'{"session": "c1", "x": %s}' % nested)
            assert refusal(answer) == (GENERIC_ERROR, f"JSON {limit} limit exceeded")


async def test_nobody_waits_behind_a_slow_command(guest: Guest) -> None:
    async with guest.mux() as host:
        slow = host.mux.request(SLOW, IN_SESSION)
        assert value(await host.ask(QUICK, IN_SESSION)) == {"quick": {}}
        assert value(await host.ask("guest-ping")) == {}
        guest.release.set()
        assert value(await host.answer(slow)) == "slow"


async def test_a_command_is_cancelled(guest: Guest) -> None:
    async with guest.mux() as host:
        slow, other = host.mux.request(SLOW, IN_SESSION), host.mux.request(SLOW, IN_SESSION)
        host.mux.cancel(slow)
        await host.flush()
        assert refusal(await host.answer(slow)) == (GENERIC_ERROR, "cancelled by the host")
        assert guest.cancelled <= 1
        guest.release.set()
        assert value(await host.answer(other)) == "slow"


async def test_what_a_host_asked_for_ends_with_it(guest: Guest) -> None:
    async with guest.mux() as host:
        host.mux.request(SLOW, IN_SESSION)
        assert value(await host.ask(QUICK, IN_SESSION))
        host.close()
    assert guest.cancelled == 1
    assert not guest.hosts.connected


# ---- going over


async def test_going_over_ends_what_qmp_began_and_answers_what_was_queued(guest: Guest) -> None:
    async with guest.host() as host:
        await host.subscribe("*")
        oob = {"exec-oob": SLOW, "arguments": {"session": "c1"}}
        queued = {"execute": QUICK, "arguments": {"session": "c1"}, "id": "queued"}
        upgrade = {"execute": "guest-mux-upgrade", "id": "up"}
        await host.send(b"".join(json.dumps(request).encode() for request in (oob, queued, upgrade)))
        assert (await host.message())["id"] == "queued"
        assert await host.message() == {"return": {"version": 1}, "id": "up"}
        guest.log.append("A", {}, "verified")
        end = MuxEnd(host.sock, "asker")
        await end.greet()
        assert guest.cancelled == 1
        assert value(await end.ask("guest-ping")) == {}
        assert not end.frames, "an event of the subscription that ended"
        assert guest.hosts.wanted() == []


async def test_going_over_is_refused_out_of_band_and_in_other_versions(guest: Guest) -> None:
    async with guest.host() as host:
        oob = await host.ask("guest-mux-upgrade", key="exec-oob")
        assert oob["error"]["desc"] == "The command guest-mux-upgrade does not support OOB"
        other = await host.ask("guest-mux-upgrade", version=2)
        assert other["error"]["desc"] == "version 1 of mux is all that there is"
        assert (await host.ask("guest-ping"))["return"] == {}


async def test_hosts_stay_connected_while_one_goes_over(guest: Guest) -> None:
    """Agents watch that; it must not flicker."""
    seen = set()
    async with guest.host() as host:
        guest.hosts.watch(lambda: seen.add(guest.hosts.connected))
        await mux_host(host)
        assert seen == {True}


# ---- going back


async def test_0xff_leads_back_to_a_greeting_and_over_again(guest: Guest) -> None:
    async with guest.mux() as end:
        end.mux.request(SLOW, IN_SESSION)
        await end.flush()
        await end.write(RESET + b'{"execute": "qmp_capabilities", "id": 7}')
        host = await back_in_json(end)
        assert "QMP" in await host.message()
        assert await host.message() == {"return": {}, "id": 7}
        assert guest.cancelled == 1
        again = await mux_host(host)
        assert value(await again.ask("guest-ping")) == {}


@pytest.mark.parametrize(
    "violation",
    [b"\xc1", b"{", b"\x93\x08\x05\xc4\x01x", b"\x92\x63\x01", b"\x95\x01\x01\xa1x\xc4\x02{}\xc4\x02{}"],
    ids=["no msgpack", "JSON", "DATA for no stream", "unknown kind", "an id twice"],
)
async def test_a_violation_leads_back_to_a_greeting_on_a_device(
    guest: Guest, violation: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest.mux(device=True) as end:
        assert isinstance(await end.ask("x"), Error)
        await end.write(violation)
        host = await back_in_json(end)
        await host.negotiate()
        assert (await host.ask("guest-ping"))["return"] == {}
    assert "test: back to qmp: the other side broke the protocol" in caplog.text


async def test_a_violation_ends_a_socket_where_content_may_follow(
    guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest.mux() as end:
        await end.write(b"\xc1" + b'{"execute": "qmp_capabilities"}{"execute": "x", "id": "content"}')
        with pytest.raises(EOFError):
            await end.next(Reply)
    assert "test: closed: the other side broke the protocol" in caplog.text


async def test_content_is_masked_where_bytes_outlive_their_reader(guest: Guest) -> None:
    async with guest.mux(device=True) as end:
        assert end.mux.peer
        one = end.mux.peer.mask
    async with guest.mux(device=True) as end:
        assert end.mux.peer
        assert len({*one}) == len({*end.mux.peer.mask}) == 256
        assert one != end.mux.peer.mask
    async with guest.mux() as end:
        assert end.mux.peer
        assert end.mux.peer.mask == b""


# ---- events


async def test_events_follow_the_reply_that_asked_for_them(guest: Guest) -> None:
    async with guest.mux() as host:
        guest.log.append("A", {"x": 0}, "verified")
        reply = value(await host.ask("guest-event-subscribe", b'{"events": ["A"]}'))
        assert reply["seq"] == 1
        for name in ("A", "B", "A"):
            guest.log.append(name, {"x": 1}, "verified")
        first, second = await host.event(), await host.event()
        assert [first.seq, second.seq] == [2, 4]
        assert json.loads(first.data) == {"epoch": "e", "seq": 2, "source": "verified", "x": 1}
        assert (first.name, first.time) == ("A", 12_500_000)
        host.mux.ack(4)
        await host.flush()
        assert value(await host.ask("guest-event-unsubscribe")) == {}
        guest.log.append("A", {}, "verified")
        assert value(await host.ask("guest-ping")) == {}
        assert not host.frames


async def test_a_host_that_does_not_read_its_events_delays_nobody_and_is_told_what_it_lost(
    guest: Guest,
) -> None:
    guest.log._max_events = 1000
    async with guest.mux() as host:
        value(await host.ask("guest-event-subscribe", b'{"events": ["A"]}'))
        for _ in range(100):
            for _ in range(100):
                guest.log.append("A", {"text": "x" * 500}, "verified")
            await anyio.lowlevel.checkpoint()
        assert guest.pipe.pending < 1 << 20
        seen, lost = 0, 0
        while seen < 10_000:
            event = await host.event()
            data = json.loads(event.data)
            if event.name == "EVENTS_LOST":
                assert data["from"] == seen + 1
                lost, seen = lost + data["to"] - seen, data["to"]
            else:
                assert data["seq"] == event.seq == seen + 1
                seen = event.seq
        assert lost


async def test_delivery_is_known(guest: Guest) -> None:
    async with guest.mux() as host:
        value(await host.ask("guest-event-subscribe"))
        seq = guest.log.append("A", {}, "verified")
        assert await guest.hosts.deliver(seq, 5.0)
        await host.event("A")


async def test_an_ack_frame_acknowledges_in_every_subscription(guest: Guest) -> None:
    async with guest.mux() as host:
        for name in (b"", b"a"):
            value(await host.ask("guest-event-subscribe", b'{"window": 1, "subscription": "%b"}' % name))
        for _ in range(3):
            guest.log.append("A", {}, "verified")
        for seq in (1, 2, 3):
            assert [(await host.event()).seq for _ in "xx"] == [seq, seq]
            assert value(await host.ask("guest-ping")) == {}
            assert not host.frames
            assert not guest.feeds.hosts._have(seq)
            host.mux.ack(seq)
            await host.flush()
        assert await guest.hosts.deliver(3, 5.0)


async def test_what_is_late_is_sent_when_nothing_else_happens(guest: Guest) -> None:
    now = Now()
    guest.feeds = Feeds(guest.log, guest.hosts, now=now)
    async with guest.mux() as host:
        value(await host.ask("guest-event-subscribe", b'{"rate": {"A": 1000}}'))
        for _ in range(2):
            guest.log.append("A", {}, "verified")
        assert (await host.event()).seq == 1
        now.time += 1
        late = await host.event()
        assert (late.seq, json.loads(late.data)["late"]) == (2, True)


async def test_who_waits_for_a_host_that_acknowledges_nothing_costs_nothing(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guest.mux() as host:
        value(await host.ask("guest-event-subscribe", b'{"window": 1}'))
        seq = guest.log.append("A", {}, "verified")
        await host.event()
        await anyio.wait_all_tasks_blocked()
        looks = 0
        have = guest.hosts._have

        def looked(seq: int) -> bool:
            nonlocal looks
            looks += 1
            return have(seq)

        monkeypatch.setattr(guest.hosts, "_have", looked)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guest.hosts.deliver, seq, 20.0)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert looks == 1
            host.mux.ack(seq)
            await host.flush()


# ---- hosts that mean no good


async def test_a_host_that_asks_and_does_not_read_is_not_read_from(guest: Guest) -> None:
    """Natives answer at once, so that no bound on what is unanswered holds it up; the answers do."""
    async with guest.mux() as host:
        asked = [encode(Request(number, "guest-query-schema", b"{}", b"{}")) for number in range(1, 20_000)]
        sent = 0
        with suppress(BlockingIOError):
            while asked:
                block = b"".join(asked[:100])
                sent += host.sock.send(block)
                del asked[:100]
                await settled()
        assert asked, "it took in all"
        assert guest.pipe.received < sent
        assert guest.pipe.pending < HIGH_WATER
        host.close()
    assert not guest.hosts.connected


async def settled() -> None:
    """Let eventd do all that it can do now."""
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


async def test_more_requests_than_announced_are_a_violation(guest: Guest) -> None:
    async with guest.mux(device=True) as end:
        await end.write(
            b"".join(encode(Request(number, SLOW, IN_SESSION, b"{}")) for number in range(1, 258))
        )
        host = await back_in_json(end)
        await host.negotiate()
    assert guest.cancelled <= 256


async def test_a_host_that_dies_in_the_middle_of_a_frame(guest: Guest) -> None:
    async with guest.mux() as host:
        await host.write(b"\x95\x01\x01\xa1x\xc6\x03\xff\xff\xff" + bytes(100_000))
        host.close()
    assert guest.pipe.state == "CLOSED"
