"""Copies and connections without async, against a guest in another thread and a stock qemu-ga."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from anyio.from_thread import start_blocking_portal

import guestmux
from guestmux import blocking
from tests.support.file_guest import file_guest


@pytest.fixture
def guest() -> Iterator[blocking.Guest]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(file_guest()) as guest:
        yield blocking.Guest(portal, cast("guestmux.Guest", guest))


def test_copies(guest: blocking.Guest, tmp_path: Path) -> None:
    (tmp_path / "tree/deep").mkdir(parents=True)
    content = os.urandom(3_000_000)
    (tmp_path / "tree/deep/file").write_bytes(content)
    report = guest.download(str(tmp_path / "tree"), tmp_path / "here", recursive=True, preserve=True)
    assert (report.files, report.directories, report.bytes) == (1, 2, len(content))
    report = guest.upload(tmp_path / "here/deep/file", str(tmp_path / "back"), checksum=False)
    assert (tmp_path / "back").read_bytes() == content
    assert guest.upload(tmp_path / "here/deep/file", str(tmp_path / "back"), resume=True).bytes == 0
    with pytest.raises(guestmux.LocalFileError, match="is no directory"):
        guest.download(str(tmp_path / "back"), tmp_path / "nosuch", into=True)
    with pytest.raises(guestmux.CopyFailed, match="is no directory"):
        guest.upload(tmp_path / "back", str(tmp_path / "nosuch"), into=True)


def test_connections(guest: blocking.Guest, tmp_path: Path) -> None:
    with guest.dial("tcp:22") as stream:
        stream.send(b"hello")
        assert stream.receive() == b"hello"
    with guest.forward(f"unix:{tmp_path}/s", "tcp:22") as forwarding, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"hello"
        assert client.recv(100) == b""
        assert (forwarding.served, str(forwarding.local)) == (1, f"unix:{tmp_path}/s")


def test_a_guest_without_streams(stock: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    with blocking.connect(stock) as guest:
        assert guest.download(str(tmp_path / "a"), tmp_path / "b").bytes == 1_000_000
        assert guest.upload(tmp_path / "b", str(tmp_path / "c")).files == 1
        assert (tmp_path / "c").read_bytes() == b"x" * 1_000_000
        with pytest.raises(guestmux.NoStreams), guest.forward("tcp:0", "tcp:22"):
            pass
