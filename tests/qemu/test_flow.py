"""Flow control of a real port: QEMU takes no more of the guest's buffers while its host does not read.

When a host leaves, QEMU 7.2 drops the replies that it did not read, those in the port's queue as well: the next host
finds nothing of them.
"""

from __future__ import annotations

import json
from contextlib import closing

import anyio
import pytest

from tests.support.eventd import Eventd
from tests.support.host import RawHost
from tests.support.noguest.machine import NoGuest

pytestmark = pytest.mark.anyio

REQUESTS = 8000
"""Of 1 KiB each, twice what all buffers on the way hold: those of two sockets, the port and eventd, about 4 MiB."""

STALLED_SECONDS = 0.5
"""A way that takes nothing for so long is full; each step of it needs a few milliseconds."""

MEMORY_LEEWAY = 16 << 20
"""Bytes: eventd's own bounds are 1 MiB each way, the rest is the allocator's."""


def numbered(numbers: range) -> bytes:
    """Pings with long ids."""
    pings = ({"execute": "guest-ping", "id": f"{number:01000}"} for number in numbers)
    return b"".join(json.dumps(ping).encode() for ping in pings)


async def send_until_stalled(host: RawHost, data: bytes) -> bytes:
    """Send what the way takes when nobody reads; gives the rest."""
    while data:
        try:
            data = data[host.sock.send(data) :]
        except BlockingIOError:
            with anyio.move_on_after(STALLED_SECONDS) as waiting:
                await anyio.wait_writable(host.sock)
            if waiting.cancelled_caught:
                break
    return data


async def read_numbered(host: RawHost, numbers: range) -> None:
    for number in numbers:
        reply = await host.message()
        assert int(reply["id"]) == number


async def test_a_host_that_does_not_read_stalls_eventd_and_gets_everything_later(
    qemu: NoGuest, eventd: Eventd
) -> None:
    memory = eventd.memory
    with closing(await RawHost.connect(qemu.chardev("qga"))) as host:
        rest = await send_until_stalled(host, numbered(range(REQUESTS)))
        assert rest, "nothing held the host up"
        assert eventd.memory - memory < MEMORY_LEEWAY
        assert await eventd.rests()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.send, rest)
            await read_numbered(host, range(REQUESTS))
        assert host.nothing_more()


async def test_one_ports_stall_does_not_hold_up_the_other(qemu: NoGuest, eventd: Eventd) -> None:
    assert eventd.process.poll() is None
    with (
        closing(await RawHost.connect(qemu.chardev("qga"))) as stalled,
        closing(await RawHost.connect(qemu.chardev("qmp"))) as host,
    ):
        await send_until_stalled(stalled, numbered(range(REQUESTS)))
        await host.negotiate()
        assert (await host.ask("guest-ping"))["return"] == {}


async def test_the_next_host_gets_nothing_of_one_that_did_not_read(qemu: NoGuest, eventd: Eventd) -> None:
    with closing(await RawHost.connect(qemu.chardev("qga"))) as host:
        assert await send_until_stalled(host, numbered(range(REQUESTS)))
    while eventd.log.count(f"{qemu.port('qga')}: open") < 2:  # noqa: ASYNC110 - another process's log
        await anyio.sleep(0.01)
    with closing(await RawHost.connect(qemu.chardev("qga"))) as following:
        await following.send(b'{"execute": "guest-sync", "arguments": {"id": 9}}')
        assert await following.message() == {"return": 9}
