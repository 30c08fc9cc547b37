"""Telling systemd how a service fares (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Send assignments, as `READY=1`, to the service manager.

    Returns:
        whether there is one that took them. Nothing is raised: a service runs as well without a manager.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    # An abstract address is written with "@" for its leading NUL.
    address = "\0" + path[1:] if path[0] == "@" else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True
