"""The hosts that come to one open character device and leave it: each gets a pipe of its own."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Final

from guestmux_transport.char_device import DEVICE_WRITE_BYTES, LEFTOVER_BYTES, is_hung_up, read_out
from guestmux_transport.edge import GONE, edge_poller
from guestmux_transport.host_mark import HostMark
from guestmux_transport.pipe import Pipe

UNCLAIMED_SECONDS: Final = 5.0
"""How long bytes are kept whose host is not seen yet: a guest that boots on a busy machine hears of it seconds later.
What is older is of nobody; libvirt gives a sync up after as long (QEMU_AGENT_WAIT_TIME in qemu_agent.c)."""

_UNPLUGGED: Final = frozenset({errno.ENODEV, errno.ENXIO})


class DeviceHosts:
    """Turns a device's edges into pipes.

    The kernel shows a host's presence only as the absence of HUP: one that leaves and another that comes,
    both between two looks of ours, are seen as one. That is what guest-sync is for.

    Args:
        name: the address, for the pipes' names.
        fd: an open character device, taken over.
        on_change: called when a host came or the device died.
        clock: tells the time in seconds.

    Attributes:
        dead: whether the descriptor can bring no host any more: unplugged, or a hung-up terminal.
        must_restart: whether the host is still there, but its pipe was closed here; see restart().

    Raises:
        OSError: no descriptors are left to watch it with.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        on_change: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._fd = fd
        self._on_change = on_change
        self._current: Pipe | None = None
        self._untaken: Pipe | None = None
        self._clock = clock
        self._mark = HostMark(clock)
        self._early = b""
        self._early_until = 0.0
        self.dead = False
        self.must_restart = False
        self._watch = edge_poller().watch(fd, self._edge)

    def take(self) -> Pipe | None:
        """The newest host's pipe, once; None when that was given out already."""
        pipe, self._untaken = self._untaken, None
        return pipe

    def restart(self) -> None:
        """Begin anew with the host that is there; what it sent to the closed pipe is dropped."""
        self.must_restart = False
        self._read_out()
        self._host_came()

    def close(self) -> None:
        """Close the device."""
        self._watch.stop()
        if self._untaken is not None:
            self._untaken.close()
        os.close(self._fd)

    def _edge(self, events: int) -> None:
        if events & GONE:
            self._host_left()
        elif not self.must_restart:
            self._host_is_there(events)

    def _host_is_there(self, events: int) -> None:
        if self._current is None or self._current.gone:
            self._host_came()
        else:
            self._current.edge(events)

    def _host_came(self) -> None:
        if self._current is not None:
            self._keep(self._mark.unanswered)
        early, self._early = self._unclaimed(), b""
        self._mark = HostMark(self._clock)
        self._current = self._untaken = Pipe(
            self._name,
            self._fd,
            self._let_go,
            half_close=False,
            write_bytes=DEVICE_WRITE_BYTES,
            gather=True,
            early=early,
            mark=self._mark,
        )
        self._on_change()

    def _host_left(self) -> None:
        pieces, ending = self._read_out()
        untrusted_input = b"".join(pieces)
        if self._current is not None:
            leftovers, early = _split(self._mark, untrusted_input)
            self._current.detach([leftovers] if leftovers else [])
            self._current = None
        elif self.must_restart or not untrusted_input:
            _, early = _split(HostMark(), untrusted_input)
        else:
            early = self._unclaimed() + untrusted_input  # of a host that is there, and not seen coming yet
        self.must_restart = False
        self._keep(early)
        if ending == errno.EAGAIN:
            self._host_came()  # no end of file: another one is there already
        self._on_change()

    def _keep(self, untrusted_early: bytes) -> None:
        if untrusted_early:
            self._early = untrusted_early[:LEFTOVER_BYTES]
            self._early_until = self._clock() + UNCLAIMED_SECONDS

    def _unclaimed(self) -> bytes:
        return self._early if self._clock() <= self._early_until else b""

    def _read_out(self) -> tuple[list[bytes], int]:
        """Empty the device's input, so that the next host's bytes begin the next host's pipe; see `read_out`."""
        pieces, ending = read_out(self._fd)
        self.dead = self.dead or ending in _UNPLUGGED or is_hung_up(self._fd)
        return pieces, ending

    def _let_go(self, pipe: Pipe) -> None:
        if pipe is self._current:
            if pipe.gone:
                self._keep(self._mark.unanswered)
            self._current = None
            self.must_restart = not pipe.gone
            self._on_change()


def _split(mark: HostMark, untrusted_input: bytes) -> tuple[bytes, bytes]:
    """What the host that left had sent, and what the next one has.

    virtio_console learns of hosts by messages that a work queue looks at, and of data by interrupts: when a host is
    seen to leave, the first bytes of the next may be in the queue, or have been received as if they were the
    first one's, and answered. A client that begins without waiting for a greeting marks its beginning by 0xFF
    (guest-sync-delimited), which nothing else contains.

    Args:
        mark: what is known of the bytes received.
        untrusted_input: not received yet.
    """
    place = untrusted_input.rfind(b"\xff")
    if place >= 0:
        return untrusted_input[:place], untrusted_input[place:]
    if mark.unanswered or mark.has_joined:
        return b"", mark.unanswered + untrusted_input
    return untrusted_input, b""
