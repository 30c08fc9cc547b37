"""A host's call on mux to an agent with a channel, made without a task: its checks, its ends, its record."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from guestmux_protocol.mux import Cancel, Error, Reply, Request
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.channel_agent import channel_of
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.mux_end import MuxEnd, mux_host
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

COMMAND = "__org.example_do"
SCHEMA = '{"data": {"*x": "int"}, "returns": "int"}'
RECORDED = "guest-file-remove"
Begun = tuple[int, Request]
IN_SESSION = b'{"session": "user:tester"}'


@pytest.fixture
async def eventd(bus: PrivateBus) -> AsyncIterator[Eventd]:
    async with standin_logind(bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        with running_eventd(bus.address) as eventd:
            yield eventd


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        await agent.register(commands=("a{ss}", {COMMAND: SCHEMA, RECORDED: ""}))
        yield agent


@pytest.fixture
async def channel(agent: BareAgent) -> AsyncIterator[MuxEnd]:
    channel = await channel_of(agent)
    yield channel
    channel.close()


@pytest.fixture
async def host(eventd: Eventd, channel: MuxEnd) -> AsyncIterator[MuxEnd]:
    host = await mux_host(await eventd.qmp_host())
    yield host
    host.close()


async def begin(
    host: MuxEnd, channel: MuxEnd, command: str = COMMAND, arguments: bytes = IN_SESSION
) -> Begun:
    """Ask; gives the host's number, and what the agent gets."""
    number = host.mux.request(command, arguments)
    await host.flush()
    return number, await channel.next(Request)


async def failure(host: MuxEnd, number: int) -> str:
    answer = await host.answer(number)
    assert isinstance(answer, Error), answer
    return answer.desc


@pytest.mark.parametrize("text", [b"17", b" 17\n"], ids=["as it is", "not in one line"])
async def test_a_result_is_passed_on(host: MuxEnd, channel: MuxEnd, text: bytes) -> None:
    arguments = b'{"session": "user:tester", "x": 1, "timeout": 7}'
    number, request = await begin(host, channel, arguments=arguments)
    assert request.arguments == b'{"x": 1}'
    channel.mux.reply(request.id, text)
    await channel.flush()
    answer = await host.answer(number)
    assert isinstance(answer, Reply)
    assert answer.value == b"17"


@pytest.mark.parametrize(
    ("text", "desc"),
    [
        (b'{"a": 1, "a": 2}', "answered with what is no JSON"),
        (b'"text"', "against its own schema: Invalid parameter type for 'return', expected: integer"),
    ],
)
async def test_a_result_is_checked(host: MuxEnd, channel: MuxEnd, text: bytes, desc: str) -> None:
    number, request = await begin(host, channel)
    channel.mux.reply(request.id, text)
    await channel.flush()
    assert desc in await failure(host, number)


@pytest.mark.parametrize(
    ("command", "arguments", "desc"),
    [
        (
            COMMAND,
            b'{"session": "user:tester", "x": "1"}',
            "Invalid parameter type for 'x', expected: integer",
        ),
        (COMMAND, b'{"session": "c9"}', "there is no session 'c9'; guest-get-sessions lists them"),
        (COMMAND, b'{"session": "c1", "timeout": -1}', "Parameter 'timeout' expects a number of seconds"),
        ("__org.example_no", IN_SESSION, "The command __org.example_no has not been found"),
    ],
)
async def test_what_is_refused_does_not_reach_the_agent(
    host: MuxEnd, channel: MuxEnd, command: str, arguments: bytes, desc: str
) -> None:
    answer = await host.ask(command, arguments)
    assert isinstance(answer, Error)
    assert answer.desc.startswith(desc)
    assert not channel.frames


async def test_its_time_is_up(host: MuxEnd, channel: MuxEnd) -> None:
    arguments = b'{"session": "user:tester", "timeout": 0.01}'
    number, request = await begin(host, channel, arguments=arguments)
    assert (await channel.next(Cancel)).id == request.id
    assert "did not answer within 0.01 s; the call was cancelled" in await failure(host, number)
    channel.mux.reply(request.id, b"1")
    await channel.flush()
    _number, request = await begin(host, channel)
    assert request.id == 2


async def test_the_agent_leaves(host: MuxEnd, channel: MuxEnd) -> None:
    numbers = [(await begin(host, channel))[0] for _ in range(2)]
    channel.close()
    for number in numbers:
        assert await failure(host, number) == "the agent disconnected; the command may or may not have run"


async def test_it_is_given_up(host: MuxEnd, channel: MuxEnd) -> None:
    number, request = await begin(host, channel)
    host.mux.cancel(number)
    await host.flush()
    assert (await channel.next(Cancel)).id == request.id
    assert await failure(host, number) == "cancelled by the host"
    channel.mux.reply(request.id, b"1")
    await channel.flush()
    assert isinstance(await host.ask("guest-ping"), Reply)
    assert not host.frames


async def test_the_host_leaves(host: MuxEnd, channel: MuxEnd) -> None:
    begun = [await begin(host, channel) for _ in range(2)]
    host.close()
    assert {(await channel.next(Cancel)).id for _ in begun} == {request.id for _, request in begun}


async def test_it_is_on_record(eventd: Eventd, host: MuxEnd, channel: MuxEnd) -> None:
    arguments = b'{"session": "user:tester", "path": "/x"}'
    for text in (b"{}", b"1"):
        number, request = await begin(host, channel, RECORDED, arguments)
        channel.mux.reply(request.id, text)
        await channel.flush()
        await host.answer(number)
    number, request = await begin(host, channel, RECORDED, arguments)
    host.mux.cancel(number)
    await host.flush()
    await host.answer(number)
    told = [line for line in eventd.log.splitlines() if f"{RECORDED} in c1 by 'org.example.bare'" in line]
    outcomes = [line.partition("'org.example.bare': ")[2].split()[0] for line in told]
    assert outcomes == ["done", "failed", "cancelled"]
