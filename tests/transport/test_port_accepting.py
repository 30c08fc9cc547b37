"""Ports that do not let everybody in, shown by unix sockets whose names are known."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guestmux_protocol.addresses import UnixListen
from guestmux_transport.port_accepting import HOSTS_AHEAD, AcceptingPort
from tests.support.pipes import hosts_of, our_messages, turns

pytestmark = pytest.mark.anyio


class ChoosyPort(AcceptingPort):
    """Refuses those whose name ends with `stranger`."""

    def __init__(self, path: Path) -> None:
        super().__init__(UnixListen(str(path)), ahead=HOSTS_AHEAD)
        self._path = path

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.bind(str(self._path))
        listener.listen(HOSTS_AHEAD)
        return listener

    def _refusal(self, peer: Any) -> str:
        return f"refused {peer}" if peer.endswith("stranger") else ""


@contextmanager
def caller(port: Path, name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0)
        connection.bind(str(port.with_name(name)))
        connection.connect(str(port))
        yield connection


async def test_who_is_refused_is_closed_at_once_while_a_host_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "port"
    async with hosts_of(ChoosyPort(path)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with caller(path, "first") as first:
            pipe = await coming
            for number in range(3 * HOSTS_AHEAD):
                with caller(path, f"{number}-stranger") as stranger:
                    await turns()
                    assert stranger.recv(1) == b""
            with caller(path, "second") as second:
                await turns()
                second.send(b"two")
                first.send(b"one")
                assert await pipe.receive() == b"one"
                pipe = await anext(hosts)
                assert await pipe.receive() == b"two"
    refusals = [text for text in our_messages(caplog) if "refused" in text]
    assert len(refusals) == 3 * HOSTS_AHEAD
    assert refusals[0].startswith(f"unix-listen:{path}: refused {tmp_path}/0-stranger")


async def test_more_hosts_than_are_accepted_ahead_all_have_their_turn(tmp_path: Path) -> None:
    path = tmp_path / "port"
    async with hosts_of(ChoosyPort(path)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        for number in range(2 * HOSTS_AHEAD):
            with caller(path, str(number)) as host:
                host.send(str(number).encode())
                await turns()
        pipe = await coming
        for number in range(2 * HOSTS_AHEAD):
            assert await pipe.receive() == str(number).encode()
            if number < 2 * HOSTS_AHEAD - 1:
                pipe = await anext(hosts)


async def test_those_who_wait_are_closed_with_the_port(tmp_path: Path) -> None:
    path = tmp_path / "port"
    port = ChoosyPort(path)
    async with hosts_of(port) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with caller(path, "first"), caller(path, "second") as second:
            await coming
            await turns()
            port.close()
            assert second.recv(1) == b""


async def test_no_descriptors_while_a_host_is_served_is_logged_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "port"
    async with hosts_of(ChoosyPort(path)) as hosts:
        coming = asyncio.ensure_future(anext(hosts))
        await turns()
        with caller(path, "first"), caller(path, "second") as second:

            def none_left(_: socket.socket) -> None:
                raise OSError(24, "Too many open files")

            await coming
            with monkeypatch.context() as full, caller(path, "third"):
                full.setattr(socket.socket, "accept", none_left)
                await turns()
            second.send(b"two")
            pipe = await anext(hosts)
            assert await pipe.receive() == b"two"
    assert any("Too many open files" in text for text in our_messages(caplog))
