"""What can be seen of a guest's address without talking to the guest."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

from guestmux_protocol.addresses import Device, DialAddress, Unix, Vsock
from guestmux_protocol.findings import Finding, note, ok, problem
from guestmux_transport.unix_table import UNIX_TABLE, sockets_at

START_QEMU = (
    "start the machine; or is the path that of its chardev, server=on? virsh dumpxml, or QEMU's command line"
)

VHOST_VSOCK = Path("/dev/vhost-vsock")

_KINDS: dict[type[Unix | Device], tuple[Callable[[int], bool], str]] = {
    Unix: (stat.S_ISSOCK, "socket"),
    Device: (stat.S_ISCHR, "character device"),
}


def check_path(address: DialAddress) -> Finding:
    """Whether the address is there, and this user may use it."""
    if isinstance(address, Vsock):
        return _check_vsock()
    return _check_file(address)


def _check_vsock(vhost: Path = VHOST_VSOCK) -> Finding:
    if vhost.exists():
        return ok("vsock", f"this host has {vhost}")
    return note("vsock", f"this host has no {vhost}, so QEMU's guests have no vsock", "modprobe vhost_vsock")


def _check_file(address: Unix | Device) -> Finding:
    path = address.path
    try:
        status = Path(path).stat()
    except PermissionError:
        do = "run this as root, or as the user of QEMU"
        return problem("path", f"{path}: this user may not look into its folder", do)
    except OSError as error:
        return problem("path", f"{path}: {error.strerror}", START_QEMU)
    is_right, name = _KINDS[type(address)]
    if not is_right(status.st_mode):
        return problem("path", f"{path} is no {name}", "unix: is for sockets, device: for character devices")
    access = f"owner {_user_name(status.st_uid)}, mode {stat.S_IMODE(status.st_mode):04o}"
    if not os.access(path, os.R_OK | os.W_OK):
        return problem("path", f"{path}: permission denied; {access}", "run this as root, or as the owner")
    return ok("path", f"a {name}; {access}")


def check_others(address: DialAddress, table: Path = UNIX_TABLE) -> Finding | None:
    """Whether somebody listens at a socket, and serves another program already; None where it cannot be seen.

    To be asked before connecting.
    """
    if not isinstance(address, Unix) or not (sockets := sockets_at(address.path, table)):
        return None
    connected = sum(found.connected for found in sockets)
    waiting = sum(found.waiting for found in sockets)
    if connected or waiting:
        queue = f", and {waiting} wait" if waiting else ""
        what = f"another program is connected{queue}; a port has one host at a time"
        return note(
            "others", what, f"ss -xp | grep {address.path}, or give the machine a port for each program"
        )
    return ok("others", "no other program is connected")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
