"""What commands do, after the list of QEMU's own tests/unit/test-qga.c and what hosts rely on beyond it."""

from __future__ import annotations

import base64
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import Client
from tests.support.qga_servers import QgaServer

HELLO = b"Hello World!\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def finished(host: Client, **arguments: Any) -> dict[str, Any]:
    """The status of a program that ended."""
    pid = host.value("guest-exec", **arguments)["pid"]
    assert pid > 0
    deadline = time.monotonic() + 60
    while not (status := host.value("guest-exec-status", pid=pid))["exited"]:
        assert time.monotonic() < deadline
    assert isinstance(status, dict)
    return status


def test_info(host: Client) -> None:
    info = host.value("guest-info")
    assert isinstance(info["version"], str)
    commands = {command["name"]: command for command in info["supported_commands"]}
    assert commands["guest-ping"] == {"name": "guest-ping", "enabled": True, "success-response": True}
    assert commands["guest-shutdown"]["success-response"] is False


STOCK_COMMANDS = {
    *("guest-sync", "guest-sync-delimited", "guest-ping", "guest-info", "guest-get-time", "guest-set-time"),
    *("guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"),
    *("guest-file-open", "guest-file-close", "guest-file-read", "guest-file-write", "guest-file-seek"),
    *("guest-file-flush", "guest-exec", "guest-exec-status", "guest-set-user-password"),
    *("guest-fsfreeze-status", "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw"),
    *("guest-fstrim", "guest-get-fsinfo", "guest-get-vcpus", "guest-set-vcpus", "guest-get-memory-blocks"),
    *("guest-set-memory-blocks", "guest-get-memory-block-info", "guest-network-get-interfaces"),
    *(
        "guest-get-host-name",
        "guest-get-users",
        "guest-get-timezone",
        "guest-get-osinfo",
        "guest-get-diskstats",
    ),
    *("guest-get-cpustats", "guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys"),
    "guest-ssh-remove-authorized-keys",
}


def test_every_command_is_there(host: Client) -> None:
    listed = {command["name"] for command in host.value("guest-info")["supported_commands"]}
    assert listed >= STOCK_COMMANDS


def test_facts(host: Client) -> None:
    assert host.value("guest-get-host-name")["host-name"]
    assert host.value("guest-get-time") > 10**18
    assert "offset" in host.value("guest-get-timezone")
    assert host.value("guest-fsfreeze-status") == "thawed"
    assert host.value("guest-get-osinfo")["machine"] == os.uname().machine
    for cpu in host.value("guest-get-vcpus"):
        assert {"logical-id", "online"} <= cpu.keys()
    for filesystem in host.value("guest-get-fsinfo"):
        assert {"name", "mountpoint", "type", "disk"} <= filesystem.keys()
    interfaces = host.value("guest-network-get-interfaces")
    assert "lo" in [interface["name"] for interface in interfaces]
    assert isinstance(host.value("guest-get-users"), list)


def test_a_file_is_written_and_read(host: Client, directory: Path) -> None:
    path = directory / "foo"
    handle = host.value("guest-file-open", path=str(path), mode="w+")
    assert host.value("guest-file-write", handle=handle, buf_b64=b64(HELLO)) == {"count": 13, "eof": False}
    assert host.value("guest-file-flush", handle=handle) == {}
    assert host.value("guest-file-close", handle=handle) == {}
    assert path.read_bytes() == HELLO
    handle = host.value("guest-file-open", path=str(path), mode="r")
    assert host.value("guest-file-read", handle=handle) == {"count": 13, "eof": True, "buf-b64": b64(HELLO)}
    assert host.value("guest-file-read", handle=handle) == {"count": 0, "eof": True, "buf-b64": ""}
    assert host.value("guest-file-seek", handle=handle, offset=6, whence="set") == {
        "position": 6,
        "eof": False,
    }
    assert host.value("guest-file-read", handle=handle)["buf-b64"] == b64(b"World!\n")
    assert host.value("guest-file-close", handle=handle) == {}


def test_a_read_sees_what_was_written_through_the_same_handle(host: Client, directory: Path) -> None:
    handle = host.value("guest-file-open", path=str(directory / "foo"), mode="w+")
    host.value("guest-file-write", handle=handle, buf_b64=b64(HELLO))
    assert host.value("guest-file-read", handle=handle) == {"count": 0, "eof": True, "buf-b64": ""}
    assert host.value("guest-file-seek", handle=handle, offset=0, whence=0)["position"] == 0
    assert host.value("guest-file-read", handle=handle)["buf-b64"] == b64(HELLO)
    host.value("guest-file-close", handle=handle)


@pytest.mark.parametrize(
    ("whence", "position"), [(0, 3), (1, 8), (2, 16), ("set", 3), ("cur", 8), ("end", 16)]
)
def test_ways_to_seek(host: Client, directory: Path, whence: int | str, position: int) -> None:
    path = directory / "foo"
    path.write_bytes(HELLO)
    handle = host.value("guest-file-open", path=str(path))
    host.value("guest-file-read", handle=handle, count=5)
    assert host.value("guest-file-seek", handle=handle, offset=3, whence=whence)["position"] == position
    host.value("guest-file-close", handle=handle)


@pytest.mark.parametrize("mode", ["r", "rb", "w", "a", "r+", "w+b", "ab+"])
def test_modes(host: Client, directory: Path, mode: str) -> None:
    path = directory / "foo"
    path.write_bytes(b"old")
    handle = host.value("guest-file-open", path=str(path), mode=mode)
    written = host.ask("guest-file-write", handle=handle, buf_b64=b64(b"new!"))
    host.ask("guest-file-close", handle=handle)
    assert ("return" in written) == (mode not in ("r", "rb"))
    after = {"r": b"old", "w": b"new!", "a": b"oldnew!"}[mode[0]]
    assert path.read_bytes() == (b"new!" if mode == "r+" else after)


def test_part_of_a_buffer(host: Client, directory: Path) -> None:
    path = directory / "foo"
    handle = host.value("guest-file-open", path=str(path), mode="w")
    assert host.value("guest-file-write", handle=handle, buf_b64=b64(HELLO), count=5)["count"] == 5
    host.value("guest-file-close", handle=handle)
    assert path.read_bytes() == b"Hello"


def test_files_outlive_the_connection(server: QgaServer, directory: Path) -> None:
    with server.connect() as host:
        handle = host.value("guest-file-open", path=str(directory / "foo"), mode="w")
    with server.connect() as host:
        assert host.value("guest-file-close", handle=handle) == {}


def test_a_fifo_opens_at_once(host: Client, directory: Path) -> None:
    os.mkfifo(directory / "fifo")
    handle = host.value("guest-file-open", path=str(directory / "fifo"), mode="r")
    host.value("guest-file-close", handle=handle)


def test_new_files_permissions(host: Client, directory: Path, stock: bool) -> None:
    """The stock one gives everybody the right to write, whatever its umask."""
    old = os.umask(0)
    os.umask(old)
    handle = host.value("guest-file-open", path=str(directory / "foo"), mode="w")
    host.value("guest-file-close", handle=handle)
    mode = stat.S_IMODE((directory / "foo").stat().st_mode)
    assert mode == (0o666 if stock else 0o666 & ~old)


def test_the_largest_read(host: Client, directory: Path) -> None:
    path = directory / "large"
    with path.open("wb") as file:
        file.truncate(48 << 20)
    handle = host.value("guest-file-open", path=str(path))
    read = host.value("guest-file-read", handle=handle, count=48 << 20)
    assert (read["count"], len(read["buf-b64"])) == (48 << 20, 64 << 20)
    reply = host.desc("guest-file-read", handle=handle, count=(48 << 20) + 1)
    assert reply == ("GenericError", "value '50331649' is invalid for argument count")
    host.value("guest-file-close", handle=handle)


def test_output_is_captured(host: Client) -> None:
    arguments = {"path": "echo", "arg": ["-n", '" test_str "'], "capture_output": True}
    status = finished(host, **arguments)
    assert (status["exitcode"], status["out-data"]) == (0, b64(b'" test_str "'))


BOTH = "for i in $(seq 4); do if (( $i % 2 )); then echo stdout; else echo stderr 1>&2; fi; done;"


def test_both_streams(host: Client) -> None:
    status = finished(host, path="bash", arg=["-c", BOTH], capture_output=True)
    assert (status["out-data"], status["err-data"]) == (b64(b"stdout\n" * 2), b64(b"stderr\n" * 2))


@pytest.mark.parametrize(
    ("mode", "out", "err"),
    [
        ("separated", b"stdout\n" * 2, b"stderr\n" * 2),
        ("merged", b"stdout\nstderr\n" * 2, None),
        ("stdout", b"stdout\n" * 2, None),
        ("stderr", None, b"stderr\n" * 2),
        ("none", None, None),
    ],
)
def test_modes_of_capture(host: Client, stock: bool, mode: str, out: bytes | None, err: bytes | None) -> None:
    if stock:
        pytest.skip("since 8.0")
    status = finished(host, path="bash", arg=["-c", BOTH], capture_output=mode)
    wanted = {"out-data": out, "err-data": err}
    assert {name: status.get(name) for name in wanted} == {
        name: None if data is None else b64(data) for name, data in wanted.items()
    }


def test_nothing_is_captured_unasked(host: Client) -> None:
    assert finished(host, path="echo", arg=["x"]) == {"exited": True, "exitcode": 0}


def test_input(host: Client) -> None:
    status = finished(host, path="cat", input_data=b64(HELLO), capture_output=True)
    assert status["out-data"] == b64(HELLO)


def test_the_environment_is_replaced(host: Client) -> None:
    status = finished(host, path="/usr/bin/env", env=["A=b"], capture_output=True)
    assert status["out-data"] == b64(b"A=b\n")


def test_a_signal_is_told_apart(host: Client) -> None:
    status = finished(host, path="sh", arg=["-c", "kill -9 $$"])
    assert (status["signal"], "exitcode" in status) == (9, False)


def test_a_status_is_given_once(host: Client) -> None:
    pid = host.value("guest-exec", path="true")["pid"]
    while not host.value("guest-exec-status", pid=pid)["exited"]:
        pass
    assert host.desc("guest-exec-status", pid=pid)[0] == "GenericError"


def test_more_output_than_is_kept(host: Client) -> None:
    arguments = {"path": "head", "arg": ["-c", "20000000", "/dev/zero"], "capture_output": True}
    status = finished(host, **arguments)
    assert (status["out-truncated"], len(base64.b64decode(status["out-data"]))) == (True, 16 << 20)


def test_what_cannot_be_run(host: Client) -> None:
    assert host.desc("guest-exec", path="/bin/invalid-cmd42")[0] == "GenericError"
    assert host.desc("guest-exec-status", pid=0)[0] == "GenericError"


def test_a_process_outlives_the_connection(server: QgaServer) -> None:
    with server.connect() as host:
        pid = host.value("guest-exec", path="sleep", arg=["0.1"])["pid"]
    with server.connect() as host:
        while not (status := host.value("guest-exec-status", pid=pid))["exited"]:
            pass
        assert status["exitcode"] == 0
