"""Memory blocks in a tree like sysfs'."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from guestmux_protocol.guest.hardware import (
    GuestGetMemoryBlockInfo,
    GuestGetMemoryBlocks,
    GuestMemoryBlock,
    GuestMemoryBlockInfo,
    GuestMemoryBlockResponse,
    GuestSetMemoryBlocks,
)
from guestmux_session.errors import CommandError
from guestmux_session.verbs.memory_blocks import MemoryBlocks


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Block 0 fixed, 2 movable, 10 off, 11 of a kernel so old that it has no switch."""
    directory = tmp_path / "devices/system/memory"
    for number, state, removable in (
        (0, "online", "0"),
        (2, "online", "1"),
        (10, "offline", "1"),
        (11, "", ""),
    ):
        block = directory / f"memory{number}"
        block.mkdir(parents=True)
        if state:
            (block / "state").write_text(f"{state}\n")
            (block / "removable").write_text(f"{removable}\n")
    (directory / "block_size_bytes").write_text("8000000\n")
    return directory


def switch(tmp_path: Path, *wanted: tuple[int, bool]) -> list[GuestMemoryBlockResponse]:
    blocks = [GuestMemoryBlock(phys_index=number, online=online) for number, online in wanted]
    return MemoryBlocks(tmp_path).set_blocks(GuestSetMemoryBlocks(mem_blks=blocks))


@pytest.mark.usefixtures("directory")
def test_they_are_listed_by_number(tmp_path: Path) -> None:
    assert MemoryBlocks(tmp_path).get_blocks(GuestGetMemoryBlocks()) == [
        GuestMemoryBlock(phys_index=0, online=True, can_offline=False),
        GuestMemoryBlock(phys_index=2, online=True, can_offline=True),
        GuestMemoryBlock(phys_index=10, online=False, can_offline=True),
        GuestMemoryBlock(phys_index=11, online=True, can_offline=False),
    ]


@pytest.mark.usefixtures("directory")
def test_the_size_is_told_in_bytes(tmp_path: Path) -> None:
    info = MemoryBlocks(tmp_path).info(GuestGetMemoryBlockInfo())
    assert info == GuestMemoryBlockInfo(size=128 << 20)


def test_each_is_switched_and_told_of(tmp_path: Path, directory: Path) -> None:
    told = switch(
        tmp_path, (2, False), (99, True), (10, True), (10, True), (11, True), (11, False), (-1, True)
    )
    assert [(one.phys_index, one.response, one.error_code or 0) for one in told] == [
        (2, "success", 0),
        (99, "not-found", errno.ENOENT),
        (10, "success", 0),
        (10, "success", 0),
        (11, "success", 0),
        (11, "operation-not-supported", errno.ENOENT),
        (-1, "not-found", errno.ENOENT),
    ]
    assert (directory / "memory2/state").read_text().startswith("offline")
    assert (directory / "memory10/state").read_text().startswith("online")


def test_one_that_the_kernel_refuses(tmp_path: Path, directory: Path) -> None:
    (directory / "memory2/state").unlink()
    (directory / "memory2/state").mkdir()
    assert switch(tmp_path, (2, False)) == [
        GuestMemoryBlockResponse(phys_index=2, response="operation-failed", error_code=errno.EISDIR)
    ]
    with pytest.raises(CommandError, match=r'^open sysfs file "state": Is a directory$'):
        MemoryBlocks(tmp_path).get_blocks(GuestGetMemoryBlocks())


def test_a_kernel_without_memory_hotplug(tmp_path: Path) -> None:
    assert MemoryBlocks(tmp_path).get_blocks(GuestGetMemoryBlocks()) == []
    assert switch(tmp_path, (1, True)) == [
        GuestMemoryBlockResponse(phys_index=1, response="operation-not-supported", error_code=errno.ENOENT)
    ]
    with pytest.raises(CommandError, match=r'^open\(".*/memory/"\): No such file or directory$'):
        MemoryBlocks(tmp_path).info(GuestGetMemoryBlockInfo())


def test_a_directory_without_blocks(tmp_path: Path) -> None:
    directory = tmp_path / "devices/system/memory"
    directory.mkdir(parents=True)
    with pytest.raises(CommandError, match=r"^guest reported zero memory blocks!$"):
        MemoryBlocks(tmp_path).get_blocks(GuestGetMemoryBlocks())
    with pytest.raises(
        CommandError, match=r'^open sysfs file "block_size_bytes": No such file or directory$'
    ):
        MemoryBlocks(tmp_path).info(GuestGetMemoryBlockInfo())
    (directory / "block_size_bytes").write_text("many\n")
    with pytest.raises(CommandError, match=r'^pread sysfs file "block_size_bytes": unexpected content$'):
        MemoryBlocks(tmp_path).info(GuestGetMemoryBlockInfo())
