"""Arguments that are missing, unknown, of a wrong type, huge or hostile: as the stock agent answers them, or better."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agents import STOCK, AgentProcess, Client
from tests.support.bad_input import cases
from tests.support.qemu_ga import QEMU_GA
from tests.support.qga_servers import QgaServer

pytestmark = [
    pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed"),
    pytest.mark.timeout(60),
]

OTHER_WORDS = {
    "capture-output": "a boolean in 7.2, and where it may be a string as well QEMU names the type of both",
    "whence": "QEMU names the type, GuestFileWhence, and we what it may be",
    "phys-index": "uint64 in QEMU, which says so in other words, and takes 2**63 as well",
}
"""Members that are refused in other words than the stock agent's."""


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A stock qemu-ga beside the server."""
    with AgentProcess(STOCK, tmp_path_factory.mktemp("peer")) as agent, agent.connect() as host:
        yield host


def test_what_no_schema_takes(server: QgaServer, peer: Client) -> None:
    """Every command with every kind of mistake: the same words, the agent's and ours."""
    known = {command["name"] for command in peer.value("guest-info")["supported_commands"]}
    asked = 0
    with server.connect() as host:
        for command, arguments in cases():
            mine = host.ask_raw(json.dumps({"execute": command, "arguments": arguments}).encode())
            text = json.dumps(arguments)
            if server.name != "stock" and any(name in text for name in OTHER_WORDS):
                assert mine["error"]["class"] == "GenericError", (command, arguments)
            elif command in known:
                theirs = peer.ask_raw(json.dumps({"execute": command, "arguments": arguments}).encode())
                assert mine == theirs, (command, arguments)
                asked += 1
    assert asked > 1000


HOSTILE_PATHS = [
    "",
    "\0",
    "/etc/passwd\0x",
    "/" + "a" * 5000,
    "/no/such/file",
    "/proc/self/mem/x",
    "a" * 256,
    "\udcff",
]


@pytest.mark.parametrize("command", ["guest-file-open", "guest-exec"])
@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_paths(host: Client, command: str, path: str) -> None:
    """What C takes for the end of a string must not shorten a path to another that exists."""
    reply = host.ask(command, path=path)
    assert "error" in reply, reply
    assert "Traceback" not in reply["error"]["desc"]


HOSTILE_WORDS = ["", "\0", "a\0b", "\udcff", "\U0001f600", "x" * 100_000]


@pytest.mark.parametrize("member", ["arg", "env"])
@pytest.mark.parametrize("word", HOSTILE_WORDS)
def test_hostile_words_do_no_harm(host: Client, member: str, word: str) -> None:
    host.ask_raw(
        json.dumps({"execute": "guest-exec", "arguments": {"path": "true", member: [word]}}).encode()
    )
    assert host.value("guest-sync", id=1) == 1


def opened(host: Client, path: Path) -> Any:
    path.write_bytes(b"content")
    return host.value("guest-file-open", path=str(path), mode="r+")


@pytest.mark.parametrize("count", [-1, -(2**63), 2**63 - 1, (48 << 20) + 1])
def test_counts_that_cannot_be(host: Client, directory: Path, count: int) -> None:
    handle = opened(host, directory / "foo")
    said = host.desc("guest-file-read", handle=handle, count=count)
    assert said == ("GenericError", f"value '{count}' is invalid for argument count")
    host.value("guest-file-close", handle=handle)


@pytest.mark.parametrize("count", [-1, 100, 2**63 - 1])
def test_counts_of_a_write_that_cannot_be(host: Client, directory: Path, count: int) -> None:
    handle = opened(host, directory / "foo")
    said = host.desc("guest-file-write", handle=handle, buf_b64="eA==", count=count)
    assert said == ("GenericError", f"value '{count}' is invalid for argument count")
    host.value("guest-file-close", handle=handle)
    assert (directory / "foo").read_bytes() == b"content"


@pytest.mark.parametrize("data", ["!", "é", "eA-_", "[1]"])
def test_what_is_no_base64(host: Client, directory: Path, data: str) -> None:
    handle = opened(host, directory / "foo")
    said = host.desc("guest-file-write", handle=handle, buf_b64=data)
    assert said == ("GenericError", "Base64 data contains invalid characters")
    host.value("guest-file-close", handle=handle)
    assert (directory / "foo").read_bytes() == b"content"


@pytest.mark.parametrize("data", ["eA=", "e", "eA==x", "===="])
def test_base64_that_is_cut_off(host: Client, directory: Path, stock: bool, data: str) -> None:
    """The stock agent writes what it can make of it, and says nothing."""
    handle = opened(host, directory / "foo")
    reply = host.ask("guest-file-write", handle=handle, buf_b64=data)
    host.value("guest-file-close", handle=handle)
    assert ("return" in reply) == stock
    if not stock:
        assert (directory / "foo").read_bytes() == b"content"


def test_base64_with_a_nul(host: Client, directory: Path) -> None:
    handle = opened(host, directory / "foo")
    assert host.desc("guest-file-write", handle=handle, buf_b64="\0")[0] == "GenericError"
    host.value("guest-file-close", handle=handle)


@pytest.mark.parametrize("handle", [0, -1, 999, 2**63 - 1])
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("guest-file-close", {}),
        ("guest-file-read", {}),
        ("guest-file-write", {"buf-b64": "eA=="}),
        ("guest-file-seek", {"offset": 0, "whence": 0}),
        ("guest-file-flush", {}),
    ],
)
def test_handles_that_stand_for_nothing(
    host: Client, command: str, arguments: dict[str, Any], handle: int
) -> None:
    assert host.desc(command, handle=handle, **arguments) == (
        "GenericError",
        f"handle '{handle}' has not been found",
    )


def test_a_handle_of_before(host: Client, directory: Path) -> None:
    handle = opened(host, directory / "foo")
    host.value("guest-file-close", handle=handle)
    for command in ("guest-file-close", "guest-file-read"):
        assert host.desc(command, handle=handle)[1] == f"handle '{handle}' has not been found"


@pytest.mark.parametrize(
    ("offset", "whence"), [(-1, 0), (-100, 1), (-(2**63), 2), (0, 3), (0, -1), (2**63 - 1, 2)]
)
def test_places_that_there_are_not(host: Client, directory: Path, offset: int, whence: int) -> None:
    handle = opened(host, directory / "foo")
    assert host.desc("guest-file-seek", handle=handle, offset=offset, whence=whence)[0] == "GenericError"
    host.value("guest-file-close", handle=handle)


@pytest.mark.parametrize("mode", ["", "x", "rw", "r ", "R", "w+b+", "r\0", "rbb"])
def test_modes_that_there_are_not(host: Client, directory: Path, mode: str) -> None:
    (directory / "foo").write_bytes(b"content")
    assert host.desc("guest-file-open", path=str(directory / "foo"), mode=mode)[0] == "GenericError"
    assert (directory / "foo").read_bytes() == b"content"


def test_a_directory_is_no_file_to_write(host: Client, directory: Path) -> None:
    assert "directory" in host.desc("guest-file-open", path=str(directory), mode="w")[1].lower()


def test_a_process_of_somebody_else(host: Client) -> None:
    for pid in (1, -1, 2**63 - 1):
        assert host.desc("guest-exec-status", pid=pid)[0] == "GenericError"
