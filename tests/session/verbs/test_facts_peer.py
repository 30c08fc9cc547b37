"""Facts of this machine beside what the real qemu-ga says of it at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from guestmux_session.declarations import Served, commands_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.disks import Disks
from guestmux_session.verbs.facts import Facts
from guestmux_session.verbs.filesystems import Filesystems
from guestmux_session.verbs.memory_blocks import MemoryBlocks
from guestmux_session.verbs.network import Network
from guestmux_session.verbs.processors import Processors
from guestmux_session.verbs.users import Users
from tests.support.qemu_ga import QEMU_GA, QemuGa, qemu_ga

pytestmark = pytest.mark.skipif(QEMU_GA is None, reason="qemu-ga is not installed")

NEWER = {"total-bytes-privileged"}
"""Members that qemu-ga has had since 9.1, and we always have."""

BETTER = {"serial"}
"""Members that qemu-ga has only where udev runs."""

SAME = [
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-get-timezone",
    "guest-get-memory-block-info",
    "guest-get-users",
]

BY_NAME = {
    "guest-network-get-interfaces": "name",
    "guest-get-vcpus": "logical-id",
    "guest-get-memory-blocks": "phys-index",
    "guest-get-fsinfo": "mountpoint",
    "guest-get-disks": "name",
    "guest-get-cpustats": "cpu",
    "guest-get-diskstats": "name",
}
"""Lists, and what tells their items apart: qemu-ga gives most in the order of a directory."""

COUNTERS = {"statistics", "stats", "used-bytes", "total-bytes"}
TIMES = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guestnice"}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuGa]:
    with qemu_ga(tmp_path_factory.mktemp("ga")) as connected:
        yield connected


@pytest.fixture(scope="module")
def ours() -> dict[str, Served]:
    owners = (Facts(), Users(), Network(), Filesystems(), Disks(), Processors(), MemoryBlocks())
    return {name: served for owner in owners for name, served in commands_of(owner).items()}


def ask(peer: QemuGa, name: str, **arguments: Any) -> Any:
    reply = peer.ask(json.dumps({"execute": name, "arguments": arguments}).encode())
    return reply.get("return", reply)


def run(ours: dict[str, Served], name: str, **arguments: Any) -> Any:
    try:
        return msgspec.to_builtins(ours[name].prepare(arguments)())
    except CommandError as error:
        return {"error": {"class": "GenericError", "desc": error.desc}}


def shape(value: Any) -> Any:
    """The keys and types of a value, without the members that our qemu-ga is too old or too alone for."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in NEWER | BETTER}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def still(value: Any) -> Any:
    """A value without what changes between two questions."""
    if isinstance(value, dict):
        changing = NEWER | BETTER | COUNTERS | TIMES
        return {key: still(inner) for key, inner in value.items() if key not in changing}
    if isinstance(value, list):
        return [still(inner) for inner in value]
    return value


@pytest.mark.parametrize("name", SAME)
def test_the_same_answer(peer: QemuGa, ours: dict[str, Served], name: str) -> None:
    assert run(ours, name) == ask(peer, name)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_same_items(peer: QemuGa, ours: dict[str, Served], name: str) -> None:
    key = BY_NAME[name]
    theirs = {item[key]: item for item in ask(peer, name)}
    mine = {item[key]: item for item in run(ours, name)}
    # Others' tests mount file systems and take loop devices at any time.
    both = theirs.keys() & mine.keys()
    lasting = {
        each
        for each in theirs.keys() | mine.keys()
        if not str(each).startswith(("/dev/loop", "loop", "/tmp"))
    }
    assert lasting <= both
    assert lasting
    for each in lasting:
        assert still(mine[each]) == still(theirs[each])
        assert shape(mine[each]) == shape(theirs[each])


def test_file_systems_come_in_the_same_order(peer: QemuGa, ours: dict[str, Served]) -> None:
    theirs, mine = (
        [each["mountpoint"] for each in answer]
        for answer in (ask(peer, "guest-get-fsinfo"), run(ours, "guest-get-fsinfo"))
    )
    both = set(theirs) & set(mine)
    assert [each for each in mine if each in both] == [each for each in theirs if each in both]


def test_the_time_passes(peer: QemuGa, ours: dict[str, Served]) -> None:
    before, between, after = (
        run(ours, "guest-get-time"),
        ask(peer, "guest-get-time"),
        run(ours, "guest-get-time"),
    )
    # qemu-ga's clock has microseconds.
    assert before // 1000 <= between // 1000 <= after // 1000


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("guest-set-vcpus", {"vcpus": []}),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": 0, "online": True}]}),
        (
            "guest-set-vcpus",
            {"vcpus": [{"logical-id": 0, "online": True}, {"logical-id": 4095, "online": True}]},
        ),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": 4095, "online": True}]}),
        ("guest-set-vcpus", {"vcpus": [{"logical-id": -1, "online": False}]}),
        ("guest-set-memory-blocks", {"mem-blks": []}),
        ("guest-set-memory-blocks", {"mem-blks": [{"phys-index": 99_999_999, "online": True}]}),
    ],
)
def test_what_changes_nothing_is_answered_the_same(
    peer: QemuGa, ours: dict[str, Served], name: str, arguments: dict[str, Any]
) -> None:
    assert run(ours, name, **arguments) == ask(peer, name, **arguments)
