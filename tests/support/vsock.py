"""vsock over the kernel's own loopback, for the tests that need a real one."""

from __future__ import annotations

import socket

import pytest

from guestmux_protocol.addresses import MAX_VSOCK

LOCAL = 1
"""VMADDR_CID_LOCAL: this very machine, by the vsock_loopback transport."""


def _lacks_loopback() -> str:
    """Why there is none; empty where there is."""
    try:
        with socket.socket(socket.AF_VSOCK) as listener, socket.socket(socket.AF_VSOCK) as dialer:
            listener.bind((MAX_VSOCK, MAX_VSOCK))
            listener.listen()
            dialer.settimeout(0.3)
            dialer.connect((LOCAL, listener.getsockname()[1]))
    except OSError as error:
        return f"vsock loopback: {error}"
    return ""


WHY_NOT = _lacks_loopback()

needs_vsock_loopback = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def free_vsock_port() -> int:
    """The number of a port that nobody listens at."""
    with socket.socket(socket.AF_VSOCK) as probe:
        probe.bind((MAX_VSOCK, MAX_VSOCK))
        return int(probe.getsockname()[1])
