"""Arguments and results too large for the bus, from host to agent and back, and agents that do it wrongly."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from guestmux_protocol.guest.files import MAX_READ
from guestmux_session import Agent
from guestmux_session.verbs.files import Files
from guestmux_transport.bus_exports import IncomingCall
from guestmux_transport.sealed_text import write_sealed
from guestmux_transport.values import Variant
from tests.support.bare_agent import BareAgent, bare_agent
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost
from tests.support.standin_logind import standin_logind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

MIB = 1 << 20
COMMAND = "__org.example_do"
KEPT = 24 * 1024 * 1024
"""Bytes that eventd may have more after a message of 64 MiB than before: the allocator's, not the message."""


class FileAgent(Agent):
    """Serves files, as the stock agent does."""

    name = "org.example.files"
    version = "1"


@pytest.fixture
async def eventd(bus: PrivateBus) -> AsyncIterator[Eventd]:
    async with standin_logind(bus.address) as logind:
        session = await logind.control.login("tester", os.getuid())
        await logind.control.add_process(session, os.getpid())
        with running_eventd(bus.address) as eventd:
            yield eventd


@asynccontextmanager
async def file_agent(bus: PrivateBus) -> AsyncIterator[None]:
    agent = FileAgent(bus=bus.address)
    agent.provide(Files())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.run)
        yield
        tasks.cancel_scope.cancel()


async def reply_bytes(host: RawHost) -> bytearray:
    """One reply, read without copying it for each chunk."""
    reply = bytearray()
    while not reply.endswith(b"\n"):
        await anyio.wait_readable(host.sock)
        reply += host.sock.recv(1 << 20)
    return reply


async def ask(host: RawHost, command: str, **arguments: Any) -> dict[str, Any]:
    await host.send(json.dumps({"execute": command, "arguments": arguments}).encode())
    reply: dict[str, Any] = json.loads(await reply_bytes(host))
    return reply


async def test_48_mib_are_read_at_once_and_leave_no_memory_behind(
    bus: PrivateBus, eventd: Eventd, tmp_path: Path
) -> None:
    path, content = tmp_path / "large", os.urandom(1 << 20) * 48
    path.write_bytes(content)
    async with file_agent(bus):
        host = await eventd.qmp_host()
        handle = (await ask(host, "guest-file-open", path=str(path), session="user:tester", wait=20))[
            "return"
        ]
        before = eventd.memory
        for _ in range(2):
            reply = await ask(host, "guest-file-read", handle=handle, count=MAX_READ)
            assert reply["return"]["count"] == MAX_READ
            assert base64.b64decode(reply["return"]["buf-b64"]) == content
            del reply
            await ask(host, "guest-file-seek", handle=handle, offset=0, whence="set")
        assert eventd.memory - before < KEPT


async def test_large_arguments_arrive_and_leave_no_memory_behind(
    bus: PrivateBus, eventd: Eventd, tmp_path: Path
) -> None:
    path, content = tmp_path / "large", os.urandom(1 << 20) * 30
    async with file_agent(bus):
        host = await eventd.qmp_host()
        opened = await ask(host, "guest-file-open", path=str(path), mode="w", session="user:tester", wait=20)
        text = base64.b64encode(content).decode()
        before = eventd.memory
        reply = await ask(host, "guest-file-write", handle=opened["return"], **{"buf-b64": text})
        await ask(host, "guest-ping")
        assert eventd.memory - before < KEPT
        assert reply == {"return": {"count": len(content), "eof": False}}
    assert path.read_bytes() == content


@pytest.fixture
async def agent(bus: PrivateBus, eventd: Eventd) -> AsyncIterator[BareAgent]:
    async with bare_agent(bus.address) as agent:
        yield agent


@contextmanager
def answering(agent: BareAgent, fd: int, index: int = 0, signature: str = "h") -> Iterator[None]:
    """Have the agent answer with a descriptor, whatever it is; closed at the end."""

    async def call(call: IncomingCall) -> Any:
        call.reply_fds.append(os.dup(fd))
        return ({"return-fd": Variant(signature, index)},)

    agent.answer = call
    yield
    os.close(fd)


async def do(host: RawHost) -> dict[str, Any]:
    return await ask(host, COMMAND, session="user:tester")


async def test_a_large_result_of_any_agent_that_is_not_as_we_write_it_is_written_anew(
    eventd: Eventd, agent: BareAgent
) -> None:
    await agent.register(commands=("as", [COMMAND]))
    host = await eventd.qmp_host()
    with answering(agent, write_sealed('{"text":\n"ä"}'.encode())):
        assert await do(host) == {"return": {"text": "ä"}}


@pytest.mark.parametrize(
    ("text", "said"), [(b"{", "truncated"), (b"'a'", "malformed"), (b"\xff", "malformed"), (b"", "truncated")]
)
async def test_a_large_result_that_is_no_json_is_the_agent_s_fault(
    eventd: Eventd, agent: BareAgent, text: bytes, said: str
) -> None:
    await agent.register(commands=("as", [COMMAND]))
    host = await eventd.qmp_host()
    with answering(agent, write_sealed(text)):
        desc = (await do(host))["error"]["desc"]
    assert "bad 'return-fd'" in desc
    assert said in desc
    assert (await ask(host, "guest-ping")) == {"return": {}}


async def test_a_descriptor_that_is_not_sealed_or_none_is_refused(eventd: Eventd, agent: BareAgent) -> None:
    await agent.register(commands=("as", [COMMAND]))
    host = await eventd.qmp_host()
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    with answering(agent, fd):
        assert "not sealed" in (await do(host))["error"]["desc"]
        os.truncate(fd, 1 << 30)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
        assert "at most" in (await do(host))["error"]["desc"]
    with answering(agent, os.open("/dev/null", os.O_RDONLY)):
        assert "no memfd" in (await do(host))["error"]["desc"]
    with answering(agent, os.open("/dev/null", os.O_RDONLY), signature="u"):
        assert "is no descriptor" in (await do(host))["error"]["desc"]


async def test_an_agent_without_memfds_gets_and_gives_what_fits_a_message(
    eventd: Eventd, agent: BareAgent
) -> None:
    await agent.register(commands=("as", [COMMAND]))
    host = await eventd.qmp_host()
    agent.behave = lambda call: "x" * 2 * MIB
    assert len((await do(host))["return"]) == 2 * MIB
    agent.behave = lambda call: "x" * 5 * MIB
    assert "does not pass large messages as memfds" in (await do(host))["error"]["desc"]
    reply = await ask(host, COMMAND, session="user:tester", text="x" * 5 * MIB)
    assert "does not pass large messages as memfds" in reply["error"]["desc"]


async def test_one_host_that_does_not_read_holds_up_no_other(eventd: Eventd, agent: BareAgent) -> None:
    await agent.register(commands=("as", [COMMAND]))
    large = write_sealed(b'"' + b"x" * (8 << 20) + b'"')
    deaf = await eventd.qmp_host()
    request = {"exec-oob": COMMAND, "arguments": {"session": "user:tester"}}
    await deaf.send(json.dumps(request).encode() * 3)
    other = await eventd.qga_host()
    with answering(agent, large):
        assert len((await do(other))["return"]) == 8 << 20
        for _ in range(3):
            assert len((await deaf.message())["return"]) == 8 << 20
