"""The VM generation id: it changes when this machine becomes a copy of one that ran, or is set back to what it was.

The kernel tells of that by a uevent of the device VMGENID since Linux 6.10 (vmgenid_notify in drivers/virt/vmgenid.c);
before, it keeps it to itself. Hypervisors have the device: QEMU's `-device vmgenid`, libvirt's `<genid/>`.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Mapping

import anyio
import anyio.lowlevel

from guestmux_transport.socket_activation import passed_fds

ACTIVATED_NAME = "guestmux-uevents"
"""FileDescriptorName= in guestmux-uevents.socket."""

CHANGED = b"NEW_VMGENID=1"
"""The member of the uevent."""

MAX_UEVENT = 8192
"""Bytes of a uevent; the kernel's UEVENT_BUFFER_SIZE is 2,048."""

MAX_UEVENTS_PER_TURN = 64
"""Datagrams read before other tasks get their turn."""

logger = logging.getLogger(__name__)


def open_uevents(environment: Mapping[str, str]) -> socket.socket | None:
    """The socket that hears of the machine's uevents; None where systemd passed none: eventd may not make one.

    Args:
        environment: where systemd says what it passed.
    """
    for name, fd in passed_fds(environment):
        if name == ACTIVATED_NAME:
            return socket.socket(fileno=fd)
    return None


class GenerationSource:
    """Listens for a new generation.

    Args:
        uevents: a socket of the kernel's uevents; closed by `run`.
        changed: called when there is a new generation.
    """

    def __init__(self, uevents: socket.socket, changed: Callable[[], object]) -> None:
        self._uevents = uevents
        self._changed = changed

    def __repr__(self) -> str:
        return f"<GenerationSource {self._uevents.fileno()}>"

    async def run(self) -> None:
        """Listen until cancelled."""
        self._uevents.setblocking(False)
        try:
            while True:
                await anyio.wait_readable(self._uevents)
                if self._read_some():
                    logger.warning("this machine has a new generation id: it is a copy, or was set back")
                    self._changed()
        finally:
            self._uevents.close()

    def _read_some(self) -> bool:
        """Take a turn's share of uevents; whether one of them tells of a new generation."""
        found = False
        for _ in range(MAX_UEVENTS_PER_TURN):
            try:
                data, (sender, _groups) = self._uevents.recvfrom(MAX_UEVENT)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # One of those that were lost may have been it; a new run too many does no harm.
                found = True
                continue
            # Any process may send to this socket; only the kernel is 0.
            found = found or (sender == 0 and CHANGED in data.split(b"\0"))
        return found
