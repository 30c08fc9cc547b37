"""The VM generation id: it changes when this machine becomes a copy of one that ran, or is set back to what it was.

Hypervisors have it: QEMU's `-device vmgenid`, libvirt's `<genid/>`. The kernel's driver (drivers/virt/vmgenid.c, since
Linux 5.18) keeps the number to itself, but begins its random numbers anew, and logs that (add_vmfork_randomness in
drivers/char/random.c). The uevent of Linux 6.8 for this was taken back (commit 3aadf100f93d).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Mapping

import anyio
import anyio.lowlevel

from guestmux_transport.socket_activation import passed_fds

ACTIVATED_NAME = "guestmux-kernel-log"
"""FileDescriptorName= in guestmux-kernel-log.socket."""

ANNOUNCEMENT = b"random: crng reseeded due to virtual machine fork"
"""What the kernel logs."""

MAX_RECORD = 8192
"""Bytes of a record; the kernel's PRINTK_MESSAGE_MAX is 2,048, and each of them may be escaped."""

MAX_RECORDS_PER_TURN = 64
"""Records read before other tasks get their turn."""

FACILITIES = 8
"""A priority is a severity below this, and a facility times this."""

logger = logging.getLogger(__name__)


def open_kernel_log(environment: Mapping[str, str]) -> int | None:
    """The kernel's log behind what is in it already; None where systemd passed none: eventd may not open it.

    Args:
        environment: where systemd says what it passed.
    """
    for name, fd in passed_fds(environment):
        if name == ACTIVATED_NAME:
            os.lseek(fd, 0, os.SEEK_END)
            os.set_blocking(fd, False)
            return fd
    return None


class GenerationSource:
    """Listens for a new generation.

    Args:
        kernel_log: a descriptor of /dev/kmsg that does not block; closed by `run`.
        changed: called when there is a new generation.
    """

    def __init__(self, kernel_log: int, changed: Callable[[], object]) -> None:
        self._kernel_log = kernel_log
        self._changed = changed

    def __repr__(self) -> str:
        return f"<GenerationSource {self._kernel_log}>"

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                await anyio.wait_readable(self._kernel_log)
                if self._read_some():
                    logger.warning("this machine has a new generation id: it is a copy, or was set back")
                    self._changed()
        finally:
            os.close(self._kernel_log)

    def _read_some(self) -> bool:
        """Take a turn's share of records; whether one of them tells of a new generation."""
        found = False
        for _ in range(MAX_RECORDS_PER_TURN):
            try:
                # Each read gives one record.
                record = os.read(self._kernel_log, MAX_RECORD)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                # It was overwritten before it was read, and may have been it; a new run too many does no harm.
                found = True
                continue
            found = found or _tells_of_it(record)
        return found


def _tells_of_it(untrusted_record: bytes) -> bool:
    """Whether the kernel itself says it: what programs write into its log has another facility (devkmsg_write)."""
    head, _, text = untrusted_record.partition(b";")
    priority = head.partition(b",")[0]
    return priority.isdigit() and int(priority) < FACILITIES and text.startswith(ANNOUNCEMENT)
