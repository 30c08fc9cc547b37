"""The guest's processors and memory blocks; as in QEMU 10.2's qga/qapi-schema.json."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, UnsetType

from guestmux_protocol.guest.table import GUEST
from guestmux_protocol.registry import Arguments, Data, command, doc


class GuestLogicalProcessor(Arguments, frozen=True, kw_only=True):
    """A processor, as the guest's kernel counts them."""

    logical_id: int
    online: bool
    can_offline: Annotated[bool | UnsetType, doc("Ignored in an argument.")] = UNSET


class GuestMemoryBlock(Arguments, frozen=True, kw_only=True):
    """A block of memory that can be plugged."""

    phys_index: int
    online: bool
    can_offline: Annotated[bool | UnsetType, doc("Ignored in an argument.")] = UNSET


class GuestMemoryBlockResponse(Data, frozen=True, kw_only=True):
    """What became of one block."""

    phys_index: int
    response: Literal["success", "not-found", "operation-not-supported", "operation-failed"]
    error_code: Annotated[int | UnsetType, doc("The guest's errno, where it failed.")] = UNSET


class GuestMemoryBlockInfo(Data, frozen=True, kw_only=True):
    """What all blocks have in common."""

    size: Annotated[int, doc("Bytes of a block.")]


class GuestCpuStats(Data, frozen=True, kw_only=True):
    """QAPI's union GuestCpuStats with GuestLinuxCpuStats: a processor's milliseconds since the boot, by use."""

    type: Literal["linux"]
    cpu: int
    user: int
    nice: int
    system: int
    idle: int
    iowait: int | UnsetType = UNSET
    irq: int | UnsetType = UNSET
    softirq: int | UnsetType = UNSET
    steal: int | UnsetType = UNSET
    guest: int | UnsetType = UNSET
    guestnice: int | UnsetType = UNSET


@command(GUEST, "guest-get-vcpus", returns=list[GuestLogicalProcessor])
class GuestGetVcpus(Arguments, frozen=True, kw_only=True):
    """List the processors."""


@command(GUEST, "guest-set-vcpus", returns=int)
class GuestSetVcpus(Arguments, frozen=True, kw_only=True):
    """Turn processors on and off, one after another, until one fails.

    Returns how many were done; fails only where the first one did. To learn why another failed, call again without
    those that were done.
    """

    vcpus: list[GuestLogicalProcessor]


@command(GUEST, "guest-get-memory-blocks", returns=list[GuestMemoryBlock])
class GuestGetMemoryBlocks(Arguments, frozen=True, kw_only=True):
    """List the memory blocks; none where the kernel has no memory hotplug."""


@command(GUEST, "guest-set-memory-blocks", returns=list[GuestMemoryBlockResponse])
class GuestSetMemoryBlocks(Arguments, frozen=True, kw_only=True):
    """Turn memory blocks on and off, and tell of each what became of it."""

    mem_blks: list[GuestMemoryBlock]


@command(GUEST, "guest-get-memory-block-info", returns=GuestMemoryBlockInfo)
class GuestGetMemoryBlockInfo(Arguments, frozen=True, kw_only=True):
    """Tell the size of a memory block."""


@command(GUEST, "guest-get-cpustats", returns=list[GuestCpuStats])
class GuestGetCpustats(Arguments, frozen=True, kw_only=True):
    """List each processor's times."""
