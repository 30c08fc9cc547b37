"""Files and processes without async, against a stock qemu-ga and an agent's real processes in another thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from anyio.from_thread import start_blocking_portal

import guestmux
from guestmux import blocking
from guestmux.blocking_process import Process
from tests.support.verb_guest import verb_guest


@pytest.fixture
def live() -> Iterator[blocking.Guest]:
    """A guest that runs processes live."""
    with (
        TemporaryDirectory(prefix="guestmux-host-") as directory,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(verb_guest(Path(directory), "qmp")) as standin,
        blocking.connect(standin.address) as guest,
    ):
        yield guest


def test_a_file(stock: str, tmp_path: Path) -> None:
    path, content = str(tmp_path / "file"), os.urandom(1_000_000)
    with blocking.connect(stock) as guest:
        guest.write_file(path, content)
        assert guest.read_file(path) == content
        with guest.open_file(path, "r+") as file:
            assert file.size() == len(content)
            assert file.read(3) == content[:3]
            assert file.seek(0) == 0
            assert b"".join(file) == content
            assert file.seek(-1, "end") == len(content) - 1
            assert file.write(b"xy") == 2
            file.flush()
            assert (file.path, "GuestFile" in repr(file)) == (path, True)
        assert guest.read_file(path) == content[:-1] + b"xy"
        guest.open_file(path).close()
        with pytest.raises(guestmux.CommandFailed):
            guest.read_file("/nosuch")


def test_a_process(live: blocking.Guest) -> None:
    with live.exec(["sh", "-c", "read line; echo $line; echo err >&2; cat; kill $$"]) as process:
        process.stdin.write(b"one\n")
        assert next(process.stdout) == b"one\n"
        assert next(process.stderr) == b"err\n"
        assert (process.live, process.exit) == (True, None)
        process.stdin.close()
        assert process.wait().status == 143
        assert process.stdout.read() == b""
        assert list(process.stderr) == []
    assert live.run(["cat"], stdin=b"x").stdout == b"x"


def test_signals_and_a_terminal(live: blocking.Guest) -> None:
    terminal = guestmux.TerminalSize(rows=11, columns=22)
    with live.exec(["sh", "-c", "stty size; sleep 1000"], terminal=terminal) as process:
        assert next(process.stdout) == b"11 22\r\n"
        process.resize(33, 44)
        process.terminate()
        assert process.communicate().exit.signal == 15
    for end in (Process.kill, lambda process: process.send_signal("HUP")):
        with live.exec(["sleep", "1000"]) as process:
            end(process)
            assert process.wait().signal in (1, 9)
    assert str(process.pid) in repr(process)
    process.close()


def test_facts(stock: str) -> None:
    with blocking.connect(stock) as guest:
        assert guest.os_info().machine
        assert guest.host_name()
        assert guest.timezone().offset % 60 == 0
        assert guest.time() > 0
        assert guest.network_interfaces()
        assert guest.filesystems() is not None
        assert guest.freeze_status() == "thawed"
        with pytest.raises(guestmux.CommandNotFound):
            guest.load()


def test_a_frozen_block(stock: str) -> None:
    with blocking.connect(stock) as guest:
        with guest.frozen(["/no/such/mountpoint"]) as count:
            assert count == 0
        assert guest.freeze(["/no/such/mountpoint"]) == 0
        assert guest.thaw() == 0
