"""A host that misbehaves: each gets a clear error, nobody else notices, memory stays bounded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from guestmux_eventd.login_manager import LOGIN_NAME, LOGIN_PATH, MANAGER_INTERFACE
from guestmux_transport.bus import connect_bus
from guestmux_transport.bus_exports import IncomingCall, Interface, Results
from tests.support.dbus_daemon import PrivateBus
from tests.support.eventd import Eventd, running_eventd
from tests.support.host import RawHost

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

MEMORY_LEEWAY = 40 << 20
"""Bytes: a few buffers of 64 KiB to 1 MiB, and what the allocator keeps of them."""


async def in_order(host: RawHost) -> None:
    """The port works: what was sent before is over."""
    await host.send(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":4242}}')
    while await host.line() != b'\xff{"return": 4242}':
        pass


@pytest.mark.parametrize(
    ("garbage", "desc"),
    [
        (b"HELLO WORLD\n", "JSON parse error"),
        (b"}\n", "JSON parse error, expecting value"),
        (b"GET / HTTP/1.1\r\n", "JSON parse error"),
        (b"\x00", "JSON parse error"),
        (b"[]", "QMP input must be a JSON object"),
        (b'"text"', "QMP input must be a JSON object"),
        (b"{}", "QMP input lacks member 'execute'"),
        (b'{"execute": 1}', "QMP input member 'execute' must be a string"),
        (b'{"execute": "guest-ping", "arguments": null}', "QMP input member 'arguments' must be an object"),
        (b'{"execute": "guest-ping", "exec-oob": "x"}', "QMP input member 'exec-oob' is unexpected"),
        (
            b'{"execute": "guest-sync", "arguments": {"id": "1"}}',
            "Invalid parameter type for 'id', expected: integer",
        ),
        (
            b'{"execute": "guest-sync", "arguments": {"id": 1.0}}',
            "Invalid parameter type for 'id', expected: integer",
        ),
        (b'{"execute": "guest-ping", "arguments": {"foo": 1}}', "Parameter 'foo' is unexpected"),
        (b'{"execute": "\xc3\x28"}', "JSON parse error, invalid UTF-8 sequence in string"),
        (b'{"execute": "guest-pi\xff', "JSON parse error, stray"),
        (b'{"execute": "guest-pi\n', "JSON parse error, stray"),
    ],
)
async def test_garbage_gets_one_clear_error_and_the_port_lives_on(
    eventd: Eventd, garbage: bytes, desc: str
) -> None:
    host = await eventd.qga_host()
    await host.send(garbage)
    error = (await host.message())["error"]
    assert error["class"] == "GenericError"
    assert error["desc"].startswith(desc)
    assert (await host.ask("guest-ping"))["return"] == {}
    host.close()


async def test_a_hundred_megabytes_of_brackets_are_one_error(eventd: Eventd) -> None:
    host, other = await eventd.qga_host(), await eventd.qmp_host()
    before = eventd.memory
    for _ in range(100):
        await host.send(b"[" * (1 << 20))
    assert (await host.message())["error"]["desc"] == "JSON nesting depth limit exceeded"
    await in_order(host)
    assert (await other.ask("guest-ping"))["return"] == {}
    assert eventd.memory - before < MEMORY_LEEWAY


async def test_a_message_over_the_limit_is_one_error(eventd: Eventd) -> None:
    host = await eventd.qga_host()
    await host.send(b'{"execute": "')
    for _ in range(65):
        await host.send(b"x" * (1 << 20))
    assert (await host.message())["error"]["desc"] == "JSON token size limit exceeded"
    await in_order(host)


async def test_a_flood_of_requests_is_answered_to_the_last(eventd: Eventd) -> None:
    host = await eventd.qga_host()
    count = 50_000
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.send, b'{"execute":"guest-ping"}\n' * count)
        for _ in range(count):
            assert await host.line() == b'{"return": {}}'


async def test_a_host_that_never_reads_costs_neither_memory_nor_wakeups(eventd: Eventd) -> None:
    host, other = await eventd.qga_host(), await eventd.qmp_host()
    before = eventd.memory
    with anyio.move_on_after(1.0):
        while True:
            await host.send(b'{"execute":"guest-info"}\n' * 1000)
    assert eventd.memory - before < MEMORY_LEEWAY
    assert await eventd.rests()
    assert (await other.ask("guest-ping"))["return"] == {}


async def test_the_next_host_gets_nothing_of_the_one_that_left(eventd: Eventd) -> None:
    for request in (
        b'{"execute":"guest-info"}\n' * 2000,
        b'{"execute":"guest-pi',
        b'{"execute":"guest-sync"',
    ):
        host = await eventd.qga_host()
        with anyio.move_on_after(0.2):
            await host.send(request)
        host.close()
        following = await eventd.qga_host()
        await following.send(b'{"execute":"guest-sync","arguments":{"id":9}}')
        assert await following.message() == {"return": 9}
        following.close()


async def test_eventd_idles_after_a_host_left_its_replies_unread(eventd: Eventd) -> None:
    host = await eventd.qga_host()
    with anyio.move_on_after(0.5):
        while True:
            await host.send(b'{"execute":"guest-info"}\n' * 1000)
    host.close()
    await in_order(await eventd.qga_host())
    assert await eventd.rests()


async def test_hosts_that_come_and_go_leave_nothing_behind(eventd: Eventd) -> None:
    await in_order(await eventd.qga_host())
    before = eventd.memory
    for number in range(300):
        host = await RawHost.connect(eventd.qmp)
        if number % 3:
            await host.send(b'{"execute": "qmp_capabilities"}{"execute": "guest-event-subscribe"}')
        if number % 3 == 2:
            await host.line()
        host.close()
    host = await eventd.qmp_host()
    assert (await host.ask("guest-ping"))["return"] == {}
    assert eventd.memory - before < MEMORY_LEEWAY


async def test_a_second_host_waits_and_is_served_when_the_first_leaves(eventd: Eventd) -> None:
    first, second = await eventd.qga_host(), await eventd.qga_host()
    await second.send(json.dumps({"execute": "guest-ping"}).encode())
    assert (await first.ask("guest-ping"))["return"] == {}
    assert second.nothing_more()
    first.close()
    assert await second.message() == {"return": {}}


async def test_a_second_eventd_says_who_is_in_the_way(bus: PrivateBus, eventd: Eventd) -> None:
    command = [sys.executable, "-m", "guestmux_eventd", "--config", "/dev/null", "--bus", bus.address]
    process = await anyio.open_process(
        [*command, "--port", f"qga=unix-listen:{eventd.qga}"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = ""
    async for chunk in process.stderr:
        said += chunk.decode()
        if "org.guestmux.Manager1" in said and eventd.qga in said:
            break
    process.terminate()
    await process.aclose()
    host = await eventd.qga_host()
    assert (await host.ask("guest-ping"))["return"] == {}


async def test_the_bus_may_go_and_come_back_while_the_port_is_served(bus: PrivateBus, eventd: Eventd) -> None:
    host = await eventd.qmp_host()
    bus.kill()
    assert (await host.ask("guest-ping"))["return"] == {}
    bus.restart()
    while eventd.log.count("on the bus as") < 2:
        assert (await host.ask("guest-ping"))["return"] == {}
    assert "the bus is lost" in eventd.log


async def test_a_bus_that_goes_while_eventd_takes_it_up_is_lost_as_any(
    bus: PrivateBus, tmp_path: Path
) -> None:
    asked, never = anyio.Event(), anyio.Event()

    async def hang(_call: IncomingCall) -> Results:
        asked.set()
        await never.wait()
        return ([],)

    later = tmp_path / "bus"
    with running_eventd(f"unix:path={later}") as eventd:
        async with connect_bus(bus.address) as logind:
            logind.export(LOGIN_PATH, Interface(MANAGER_INTERFACE, {"ListSessions": ("", "a(susso)", hang)}))
            await logind.request_name(LOGIN_NAME)
            later.symlink_to(bus.socket)
            await asked.wait()
            bus.kill()
            host = await eventd.qga_host()
            while "ERROR: the bus is lost; ports are still served, trying again" not in eventd.log:
                assert (await host.ask("guest-ping"))["return"] == {}
        assert "the call may or may not" not in eventd.log


async def test_without_a_bus_the_port_is_served_all_the_same(bus: PrivateBus) -> None:
    bus.kill()
    with running_eventd(bus.address) as eventd:
        host = await eventd.qga_host()
        assert (await host.ask("guest-ping"))["return"] == {}
    bus.restart()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly_with_a_host_connected(eventd: Eventd, how: signal.Signals) -> None:
    host = await eventd.qmp_host()
    assert eventd.stop(how) == 0
    with pytest.raises(EOFError):
        await host.line()
    eventd.start()
