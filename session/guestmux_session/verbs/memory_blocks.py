"""guest-get-memory-blocks, guest-set-memory-blocks and guest-get-memory-block-info, by sysfs."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Literal

from msgspec import UNSET

from guestmux_protocol.guest import GUEST
from guestmux_protocol.guest.hardware import (
    GuestGetMemoryBlockInfo,
    GuestGetMemoryBlocks,
    GuestMemoryBlock,
    GuestMemoryBlockInfo,
    GuestMemoryBlockResponse,
    GuestSetMemoryBlocks,
)
from guestmux_session.declarations import command_of
from guestmux_session.errors import CommandError
from guestmux_session.verbs.kernel_files import SYSFS, attribute, failed

_BLOCK = re.compile(r"memory(\d+)")

_Failure = Literal["not-found", "operation-not-supported", "operation-failed"]


class MemoryBlocks:
    """Lists and switches blocks of memory.

    Args:
        sysfs: where sysfs is mounted.
    """

    def __init__(self, sysfs: Path = SYSFS) -> None:
        self._directory = sysfs / "devices/system/memory"

    @command_of(GUEST["guest-get-memory-blocks"])
    def get_blocks(self, _arguments: GuestGetMemoryBlocks) -> list[GuestMemoryBlock]:
        """List them by number; none for a kernel without memory hotplug."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names alone
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failed(f'Can\'t open directory"{self._directory}/"', error) from error
        numbers = sorted(int(found[1]) for found in map(_BLOCK.fullmatch, names) if found)
        if not numbers:
            raise CommandError("guest reported zero memory blocks!")
        return [self._get(number) for number in numbers]

    @command_of(GUEST["guest-set-memory-blocks"])
    def set_blocks(self, arguments: GuestSetMemoryBlocks) -> list[GuestMemoryBlockResponse]:
        """Switch every one; one that fails does not stop the others."""
        return [self._set(block) for block in arguments.mem_blks]

    @command_of(GUEST["guest-get-memory-block-info"])
    def info(self, _arguments: GuestGetMemoryBlockInfo) -> GuestMemoryBlockInfo:
        """Read the size."""
        if not self._directory.is_dir():
            raise CommandError(f'open("{self._directory}/"): {os.strerror(errno.ENOENT)}')
        try:
            return GuestMemoryBlockInfo(size=int((self._directory / "block_size_bytes").read_text(), 16))
        except OSError as error:
            raise failed('open sysfs file "block_size_bytes"', error) from error
        except ValueError as error:
            raise CommandError('pread sysfs file "block_size_bytes": unexpected content') from error

    def _get(self, number: int) -> GuestMemoryBlock:
        block = self._directory / f"memory{number}"
        try:
            online = (block / "state").read_text().startswith("online")
        except FileNotFoundError:
            return GuestMemoryBlock(phys_index=number, online=True, can_offline=False)
        except OSError as error:
            raise failed('open sysfs file "state"', error) from error
        return GuestMemoryBlock(
            phys_index=number, online=online, can_offline=attribute(block / "removable") not in {"", "0"}
        )

    def _set(self, block: GuestMemoryBlock) -> GuestMemoryBlockResponse:
        """qemu-ga calls a failure that it does not foresee a success with an error number; we say failed."""
        path = self._directory / f"memory{block.phys_index}"
        try:
            if (path / "state").read_text().startswith("online") is not block.online:
                _write(path / "state", b"online" if block.online else b"offline")
        except FileNotFoundError as error:
            return self._without_switch(block, error)
        except OSError as error:
            return _failure(block, "operation-failed", error)
        return GuestMemoryBlockResponse(phys_index=block.phys_index, response="success")

    def _without_switch(self, block: GuestMemoryBlock, error: OSError) -> GuestMemoryBlockResponse:
        """What to say of a block that has no switch: there is no hotplug, no such block, or it is always on."""
        if not self._directory.is_dir():
            return _failure(block, "operation-not-supported", error)
        if not (self._directory / f"memory{block.phys_index}").is_dir():
            return _failure(block, "not-found", error)
        if not block.online:
            return _failure(block, "operation-not-supported", error)
        return GuestMemoryBlockResponse(phys_index=block.phys_index, response="success")


def _write(state: Path, wanted: bytes) -> None:
    """Neither creates nor truncates it, and fails at once where the kernel refuses."""
    with state.open("r+b", buffering=0) as file:
        file.write(wanted)


def _failure(block: GuestMemoryBlock, response: _Failure, error: OSError) -> GuestMemoryBlockResponse:
    code = UNSET if error.errno is None else error.errno
    return GuestMemoryBlockResponse(phys_index=block.phys_index, response=response, error_code=code)
