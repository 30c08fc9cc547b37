"""Devices, played by ptys and FIFOs: the kernel objects that show HUP and OUT as a virtio port does."""

import asyncio
import errno
import os
import select
import stat
import termios
from pathlib import Path

import pytest

from guestmux_protocol.addresses import Device, InheritedFd, Virtio
from guestmux_transport.char_device import DEVICE_WRITE_BYTES, open_character_device, read_out, virtio_path
from guestmux_transport.device_hosts import DeviceHosts
from guestmux_transport.edge import edge_poller
from guestmux_transport.pipe import HIGH_WATER
from guestmux_transport.pipe_errors import NotFoundError, NotPermittedError, OpenError, PipeClosed
from guestmux_transport.port import open_port
from guestmux_transport.port_device import DevicePort
from guestmux_transport.reopening import FIRST_DELAY
from tests.support.pipes import (
    SteppedSleep,
    hosts_of,
    open_descriptors,
    our_messages,
    pty_pair,
    receive_all,
    receive_exactly,
    turns,
    until_readable,
)

pytestmark = pytest.mark.anyio


def come(slave_path: str, request: bytes) -> int:
    """A host that opens the far end and sends something; a pty shows its coming only by that.

    A pty, unlike a virtio port, keeps what the host before did not read.
    """
    fd = os.open(slave_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    read_out(fd)
    os.write(fd, request)
    return fd


async def test_a_host_that_is_there_already_is_given_at_once() -> None:
    with pty_pair() as (host, path):
        port = open_port(Device(path))
        async with hosts_of(port) as hosts:
            pipe = await anext(hosts)
            assert repr(port) == f"<Port device:{path} OPEN>"
            os.write(host, b"ping\n\x03\xff")
            assert await receive_exactly(pipe, 7) == b"ping\n\x03\xff"
            pipe.write(b"pong\n")
            await until_readable(host)
            assert os.read(host, 99) == b"pong\n"


async def test_a_terminal_becomes_raw_and_is_not_our_controlling_terminal(tmp_path: Path) -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    fd = open_character_device("test", path)
    attributes = termios.tcgetattr(fd)
    assert attributes[0:2] == [0, 0]
    assert attributes[3] == 0
    assert attributes[2] & termios.CSIZE == termios.CS8
    assert os.get_blocking(fd) is False
    assert os.get_inheritable(fd) is False
    os.close(fd)
    os.close(master)


async def test_hosts_on_one_descriptor_get_a_pipe_each_and_nothing_of_each_other() -> None:
    with pty_pair() as (device, path):
        async with hosts_of(open_port(InheritedFd(os.dup(device)))) as hosts:
            first = come(path, b"first")
            pipe = await anext(hosts)
            assert await pipe.receive() == b"first"
            pipe.write(b"unread reply")
            os.write(first, b"left behind")
            os.close(first)
            await pipe.wait_closed()
            second = come(path, b"second")
            assert await receive_all(pipe) == b"left behind"
            pipe = await anext(hosts)
            assert await receive_exactly(pipe, 6) == b"second"
            pipe.write(b"reply")
            await until_readable(second)
            assert os.read(second, 99) == b"reply"
            os.close(second)
            assert await pipe.receive() == b""


async def test_what_a_host_did_not_take_is_dropped_when_it_leaves() -> None:
    with pty_pair() as (device, path):
        async with hosts_of(open_port(InheritedFd(os.dup(device)))) as hosts:
            first = come(path, b"x")
            pipe = await anext(hosts)
            pipe.write(b"a" * HIGH_WATER)
            assert pipe.pending > 0
            draining = asyncio.ensure_future(pipe.drain())
            await turns()
            os.close(first)
            with pytest.raises(PipeClosed):
                await draining
            assert pipe.pending == 0
            second = come(path, b"y")
            pipe = await anext(hosts)
            pipe.write(b"b")
            await until_readable(second)
            assert os.read(second, 99) == b"b"
            os.close(second)


@pytest.mark.parametrize(("seconds", "early"), [(4.9, b"\xffsecond"), (5.1, b"")])
async def test_a_virtio_port_may_give_a_hosts_first_bytes_before_the_one_before_is_seen_leaving(
    seconds: float, early: bytes
) -> None:
    now = 5.0
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None, clock=lambda: now)
        first = come(path, b"first")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await pipe.receive() == b"first"
        os.write(first, b"left behind\xffsecond")
        os.close(first)
        await pipe.wait_closed()
        assert await receive_all(pipe) == b"left behind"
        now += seconds
        second = come(path, b" host")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, len(early) + 5) == early + b" host"
        hosts.close()
        os.close(second)


@pytest.mark.parametrize(("seconds", "early"), [(4.9, b"first words"), (5.1, b"")])
async def test_a_virtio_port_may_give_a_hosts_first_bytes_before_the_host_is_seen_coming(
    seconds: float, early: bytes
) -> None:
    now = 5.0
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None, clock=lambda: now)
        for words in (b"first ", b"words"):
            os.close(come(path, words))
            await until_readable(device)
            await turns()
            assert hosts.take() is None
        now += seconds
        host = come(path, b" and more")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, len(early) + 9) == early + b" and more"
        hosts.close()
        os.close(host)


async def test_a_host_that_the_kernel_tells_of_between_the_edge_of_its_bytes_and_their_reading() -> None:
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None)
        os.close(come(path, b""))
        await turns()
        host = come(path, b"first words")
        hosts._watch.on_edge(select.EPOLLIN | select.EPOLLHUP)  # fetched a moment ago
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, 11) == b"first words"
        hosts._watch.on_edge(select.EPOLLOUT)  # the coming itself, seen now
        os.write(host, b" and more")
        assert hosts.take() is None
        assert await receive_exactly(pipe, 9) == b" and more"
        hosts.close()
        os.close(host)


@pytest.mark.parametrize("answer", [b"", b"answer"])
@pytest.mark.parametrize(("seconds", "is_its"), [(0.9, True), (1.1, False)])
async def test_what_is_not_answered_of_a_host_that_joined_is_the_next_pipes(
    answer: bytes, seconds: float, is_its: bool
) -> None:
    now = 5.0
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None, clock=lambda: now)
        first = come(path, b"first\xffsecond")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, 12) == b"first\xffsecond"
        pipe.write(answer)
        now += seconds
        os.write(first, b" host")
        os.close(first)
        await pipe.wait_closed()
        pipe.close()
        second = come(path, b" and more")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        expected = (
            (b"" if answer else b"\xffsecond") + (b" host" if is_its or not answer else b"") + b" and more"
        )
        assert await receive_exactly(pipe, len(expected)) == expected
        hosts.close()
        os.close(second)


async def test_an_answer_that_the_end_of_the_host_before_overtakes_is_given_again() -> None:
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None)
        first = come(path, b"\xffsync")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, 5) == b"\xffsync"
        pipe.write(b"answer")
        hosts._watch.on_edge(select.EPOLLHUP)  # of the same turn
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, 5) == b"\xffsync"
        hosts.close()
        os.close(first)


async def test_a_host_that_came_while_the_one_before_is_seen_leaving() -> None:
    with pty_pair() as (device, path):
        hosts = DeviceHosts("test", os.dup(device), lambda: None)
        first = come(path, b"first")
        await until_readable(device)
        await turns()
        pipe = hosts.take()
        assert pipe is not None
        assert await pipe.receive() == b"first"
        os.close(first)
        second = come(path, b"left behind\xffsecond")
        hosts._watch.on_edge(select.EPOLLHUP)  # fetched a moment ago
        assert await receive_all(pipe) == b"left behind"
        pipe = hosts.take()
        assert pipe is not None
        assert await receive_exactly(pipe, 7) == b"\xffsecond"
        hosts.close()
        os.close(second)


async def test_a_hundred_hosts_that_leave_at_once_hurt_nobody() -> None:
    with pty_pair() as (device, path):
        port = open_port(InheritedFd(os.dup(device)))
        seen: list[bytes] = []

        async def serve() -> None:
            async for pipe in port.connections():
                pipe.write(b"greeting")
                seen.append(await receive_all(pipe))

        serving = asyncio.ensure_future(serve())
        await turns()
        for number in range(100):
            host = come(path, b"[%d]" % number)
            await turns(number % 7)
            os.close(host)
            await turns(number % 5)
        await turns()
        host = come(path, b"[last]")
        await until_readable(host)
        assert os.read(host, 99) == b"greeting"
        os.close(host)
        await turns()
        port.close()
        await serving
        # Hosts that overlap between two looks are seen as one, as is one that nobody saw coming and the one after it;
        # but bytes come whole and in order.
        numbers = [
            int(text) for text in b"".join(seen).replace(b"[last]", b"").strip(b"[]").split(b"][") if text
        ]
        assert numbers == sorted(set(numbers))
        assert seen[-1].endswith(b"[last]")


async def test_a_pipe_closed_here_is_followed_by_a_new_one_for_the_same_host() -> None:
    sleep = SteppedSleep()
    with pty_pair() as (host, path):
        async with hosts_of(open_port(Device(path), sleep=sleep)) as hosts:
            pipe = await anext(hosts)
            os.write(host, b"for the first")
            assert await receive_exactly(pipe, 13) == b"for the first"
            pipe.close()
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            os.write(host, b"for nobody")
            await turns()
            assert sleep.delays == [FIRST_DELAY]
            assert not coming.done()
            sleep.step()
            pipe = await coming
            pipe.write(b"new")
            await until_readable(host)
            assert os.read(host, 99) == b"new"
            os.write(host, b"for the second")
            assert await receive_exactly(pipe, 14) == b"for the second"


async def test_a_host_that_leaves_during_that_pause_is_not_given_again() -> None:
    sleep = SteppedSleep()
    with pty_pair() as (device, path):
        async with hosts_of(open_port(InheritedFd(os.dup(device)), sleep=sleep)) as hosts:
            host = come(path, b"x")
            (await anext(hosts)).close()
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            os.write(host, b"to the closed pipe")
            await until_readable(device)
            await turns()
            os.close(host)
            await turns()
            sleep.step()
            await turns()
            assert not coming.done()
            host = come(path, b"y")
            assert await (await coming).receive() == b"y"
            os.close(host)


async def test_a_terminal_whose_other_side_closed_is_opened_again_by_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sleep = SteppedSleep()
    caplog.set_level("WARNING")
    link = tmp_path / "tty"
    port = open_port(Device(str(link)), sleep=sleep)
    async with hosts_of(port) as hosts:
        with pty_pair() as (_, path):
            link.symlink_to(path)
            pipe = await anext(hosts)
        await pipe.wait_closed()
        link.unlink()
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert port.state == "BROKEN"
        sleep.step(3)
        await turns()
        assert our_messages(caplog) == [
            f"device:{link}: the other side closed the device, or it was unplugged",
            f"device:{link}: not found",
        ]
        with pty_pair() as (host, path):
            link.symlink_to(path)
            sleep.step()
            pipe = await coming
            os.write(host, b"back")
            assert await receive_exactly(pipe, 4) == b"back"


async def test_an_inherited_terminal_that_died_ends_the_port() -> None:
    with pty_pair() as (_, path):
        port = open_port(InheritedFd(os.open(path, os.O_RDWR | os.O_NOCTTY)))
    async with hosts_of(port) as hosts:
        with pytest.raises(StopAsyncIteration):
            await anext(hosts)


async def test_a_device_that_another_process_holds_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    sleep = SteppedSleep()
    with pty_pair() as (_, path):
        other = open_character_device("other", path)
        async with hosts_of(open_port(Device(path), sleep=sleep)) as hosts:
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            assert f"device:{path}: another process holds the port; is qemu-ga running?" in caplog.text
            os.close(other)
            sleep.step()
            await coming


@pytest.mark.parametrize(("number", "text"), [(errno.EACCES, "udev rule"), (errno.EPERM, "DeviceAllow=")])
def test_a_refusal_of_the_nodes_mode_is_told_from_one_of_the_sandbox(
    number: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number), path, flags)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NotPermittedError, match=text):
        open_character_device("virtio:org.guestmux.0", "/dev/vport0p1")


@pytest.mark.parametrize("kind", ["fifo", "file"])
def test_what_is_no_character_device_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "node"
    os.mkfifo(path) if kind == "fifo" else path.touch()
    descriptors = open_descriptors()
    with pytest.raises(OpenError, match="not a character device"):
        open_character_device("device:node", str(path))
    assert open_descriptors() == descriptors


async def test_a_device_that_cannot_be_polled_is_reported_and_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    descriptors = len(open_descriptors())
    async with hosts_of(open_port(Device("/dev/null"), sleep=SteppedSleep())) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert "device:/dev/null: " in caplog.text
        assert len(open_descriptors()) == descriptors
        coming.cancel()


async def test_end_of_file_is_the_end_of_the_host_and_not_of_the_device(tmp_path: Path) -> None:
    """A FIFO's reading side: b"" and HUP without a writer, as a virtio port without a host."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    port = DevicePort(Device(str(fifo)), lambda: os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    async with hosts_of(port) as hosts:
        for request in (b"one", b"two", b"three"):
            coming = asyncio.ensure_future(anext(hosts))
            await turns()
            writer = os.open(fifo, os.O_WRONLY)
            os.write(writer, request)
            pipe = await coming
            os.close(writer)
            assert await receive_all(pipe) == request
            await pipe.wait_closed()


async def test_end_of_file_that_is_read_before_its_edge_ends_the_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    port = DevicePort(Device(str(fifo)), lambda: os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    async with hosts_of(port) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        writer = os.open(fifo, os.O_WRONLY)
        os.write(writer, b"x")
        pipe = await coming
        assert await pipe.receive() == b"x"
        os.close(writer)
        assert await pipe.receive() == b""
        assert pipe.gone


@pytest.mark.parametrize("looks", [0, 5])
async def test_a_host_that_comes_before_the_last_ones_leaving_was_seen_gets_its_own_pipe(
    tmp_path: Path, looks: int
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    port = DevicePort(Device(str(fifo)), lambda: os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    async with hosts_of(port) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        first = os.open(fifo, os.O_WRONLY)
        os.write(first, b"one")
        pipe = await coming
        assert await pipe.receive() == b"one"
        os.close(first)
        assert await pipe.receive() == b""  # the loop had no turn, so no edge was seen
        second = os.open(fifo, os.O_WRONLY)
        os.write(second, b"two")
        await turns(looks)
        assert await (await anext(hosts)).receive() == b"two"
        os.close(second)


async def test_close_lets_go_of_the_device() -> None:
    with pty_pair() as (host, path):
        port = open_port(Device(path))
        async with hosts_of(port) as hosts:
            pipe = await anext(hosts)
            port.close()
            assert pipe.state == "CLOSED"
            assert await pipe.receive() == b""
            with pytest.raises(StopAsyncIteration):
                await anext(hosts)
        assert not edge_poller().watched
        with pytest.raises(OSError, match="Input/output error"):
            os.read(host, 1)


async def test_a_port_closed_with_a_host_that_nobody_took_lets_go_as_well() -> None:
    with pty_pair() as (device, path):
        async with hosts_of(open_port(InheritedFd(os.dup(device)))) as hosts:
            first = come(path, b"x")
            await anext(hosts)
            os.close(first)
            await turns()
            second = come(path, b"y")
            await turns()
        assert not edge_poller().watched
        os.close(second)


async def test_a_write_to_a_device_is_offered_in_pieces_it_can_take(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    with pty_pair() as (_, path):
        async with hosts_of(open_port(Device(path))) as hosts:
            pipe = await anext(hosts)

            def write(fd: int, data: memoryview) -> int:
                sizes.append(len(data))
                return len(data)

            monkeypatch.setattr(os, "write", write)
            pipe.write(b"x" * 100_000)
            monkeypatch.undo()
    assert max(sizes) == DEVICE_WRITE_BYTES
    assert sum(sizes) == 100_000


def test_a_virtio_port_is_found_by_udevs_link(tmp_path: Path) -> None:
    (tmp_path / "org.guestmux.0").touch()
    assert virtio_path("org.guestmux.0", tmp_path, tmp_path) == f"{tmp_path}/org.guestmux.0"


def test_a_virtio_port_is_found_in_sysfs_where_no_udev_runs(tmp_path: Path) -> None:
    for node, name in (("vport0p1", "com.redhat.spice.0\n"), ("vport0p2", "org.guestmux.0\n")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(name)
    assert virtio_path("org.guestmux.0", tmp_path / "none", tmp_path) == "/dev/vport0p2"


async def test_a_missing_virtio_port_says_how_to_get_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotFoundError, match=r"-device virtserialport,name=org\.example\.0"):
        virtio_path("org.example.0", tmp_path, tmp_path)
    async with hosts_of(open_port(Virtio("org.example.0"), sleep=SteppedSleep())) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        assert "no virtio-serial port of that name" in caplog.text
        coming.cancel()


def test_a_character_device_node_is_told_from_others() -> None:
    fd = open_character_device("test", "/dev/null")
    assert stat.S_ISCHR(os.fstat(fd).st_mode)
    os.close(fd)


async def test_a_device_opened_ahead_is_used_first() -> None:
    with pty_pair() as (host, path):
        opened: list[int] = []

        def open_device() -> int:
            opened.append(open_character_device("tty", path))
            return opened[-1]

        port = DevicePort(Device(path), open_device)
        port.open_now()
        async with hosts_of(port) as hosts:
            pipe = await anext(hosts)
            os.write(host, b"hello")
            assert await receive_exactly(pipe, 5) == b"hello"
        assert len(opened) == 1


async def test_a_device_opened_ahead_and_never_used_is_closed() -> None:
    with pty_pair() as (_, path):
        before = open_descriptors()
        port = DevicePort(Device(path), lambda: open_character_device("tty", path))
        port.open_now()
        port.close()
        assert open_descriptors() == before
