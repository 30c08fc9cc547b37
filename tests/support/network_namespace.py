"""A network namespace of one thread, whose loopback interface is down at first; needs root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

from guestmux_protocol.rtnetlink import MULTICAST_GROUPS
from guestmux_transport.rtnetlink import netlink_socket

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916
_IFF_UP = 1

T = TypeVar("T")


class NetworkNamespace:
    """Runs things in it."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    def run(self, work: Callable[[], T]) -> T:
        """Call it in the namespace's thread."""
        return self._thread.submit(work).result()

    def netlink(self) -> socket.socket:
        """A socket that hears of its links and addresses."""
        return self.run(lambda: netlink_socket(MULTICAST_GROUPS))

    def switch(self, *, on: bool) -> None:
        """Switch its loopback interface."""
        self.run(lambda: _ioctl(_SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP if on else 0)))

    def add_address(self, label: str, address: str) -> None:
        """Give it one more IPv4 address under a label, as `lo:1`."""
        packed = struct.pack("16sHH4s8x", label.encode(), socket.AF_INET, 0, socket.inet_aton(address))
        self.run(lambda: _ioctl(_SIOCSIFADDR, packed))


@contextmanager
def network_namespace() -> Iterator[NetworkNamespace]:
    """Make one; skips the test where this process may not."""
    with ThreadPoolExecutor(1) as thread:
        if code := thread.submit(_unshare).result():
            pytest.skip(f"no network namespace of our own: {os.strerror(code)}")
        yield NetworkNamespace(thread)


def _unshare() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() if libc.unshare(_CLONE_NEWNET) else 0


def _ioctl(number: int, argument: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, number, argument)
