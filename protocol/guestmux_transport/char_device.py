"""Opening a character device the way a byte pipe needs it: raw, non-blocking, no controlling terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import termios
from pathlib import Path
from typing import Final

from guestmux_transport.pipe import READ_BYTES
from guestmux_transport.pipe_errors import NotFoundError, NotPermittedError, OpenError, open_error

DEVICE_WRITE_BYTES: Final = 32 * 1024
"""Most that a virtio port takes in one write (virtio_console's port_fops_write)."""

LEFTOVER_BYTES: Final = 1024 * 1024
"""Most read of what a host left behind; a virtio queue holds at most half of it (128 pages)."""

VIRTIO_LINKS: Final = Path("/dev/virtio-ports")
VIRTIO_CLASS: Final = Path("/sys/class/virtio-ports")

_NOT_HANDED_OVER = (
    "permission denied; the packages' udev rule leaves org.qemu.guest_agent.0 to a stock qemu-ga that is installed"
    " and not masked, and any other device needs a rule of its own"
)

_NOT_LET_IN = (
    "DeviceAllow= of the service does not let it in; to a virtio port that came after the service started"
    " guestmux-port-access.service does"
)

_OPEN_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC


def open_character_device(name: str, path: str) -> int:
    """Open a character device; a terminal becomes raw, and is locked against other programs.

    Args:
        name: the address, for error texts.
        path: the device node.

    Returns:
        A descriptor: read-write, non-blocking, not inherited by children.

    Raises:
        OpenError: and its children: not found, not permitted, held by another process, of another kind.
    """
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except PermissionError as error:
        # A control group's refusal is EPERM, that of the node's mode EACCES.
        reason = _NOT_LET_IN if error.errno == errno.EPERM else _NOT_HANDED_OVER
        raise NotPermittedError(f"{name}: {reason}") from error
    except OSError as error:
        raise open_error(name, error) from error
    try:
        prepare_character_device(name, fd)
        _lock(fd)
    except OSError as error:
        os.close(fd)
        raise open_error(name, error) from error
    except OpenError:
        os.close(fd)
        raise
    return fd


def prepare_character_device(name: str, fd: int) -> None:
    """Check that an open descriptor is a character device, and make a terminal raw.

    Raises:
        OpenError: it is none, or the terminal hung up.
    """
    try:
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            raise OpenError(
                f"{name}: not a character device; a socket is named by unix-connect: or unix-listen:"
            )
        if os.isatty(fd):
            _make_raw(fd)
    except OSError as error:
        raise open_error(name, error) from error
    except termios.error as error:
        raise open_error(name, OSError(*error.args)) from error


def read_out(fd: int) -> tuple[list[bytes], int]:
    """Read what a device's input holds now, at most LEFTOVER_BYTES.

    Returns:
        The pieces, and the errno that ended the reading: EAGAIN with nothing left, 0 at the end of file.
    """
    pieces: list[bytes] = []
    room = LEFTOVER_BYTES
    try:
        while room > 0 and (data := os.read(fd, READ_BYTES)):
            pieces.append(data)
            room -= len(data)
    except OSError as error:
        return pieces, error.errno or errno.EIO
    return pieces, 0


def is_hung_up(fd: int) -> bool:
    """Whether this is a terminal whose other side closed for good; it answers every ioctl with EIO then."""
    try:
        termios.tcgetattr(fd)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def virtio_path(name: str, links: Path = VIRTIO_LINKS, class_directory: Path = VIRTIO_CLASS) -> str:
    """The device node of a virtio port: udev's link, or what sysfs says where no udev runs.

    Raises:
        NotFoundError: this machine has no port of that name.
    """
    link = links / name
    if link.exists():
        return str(link)
    for port in sorted(class_directory.glob("vport*")):
        if (port / "name").read_text(errors="surrogateescape").rstrip("\n") == name:
            return f"/dev/{port.name}"
    raise NotFoundError(
        f"virtio:{name}: this machine has no virtio-serial port of that name; on the host, add one:"
        f" -device virtserialport,name={name},chardev=..."
    )


def _lock(fd: int) -> None:
    # Terminals open any number of times, so two readers would share the bytes. The lock ends with its
    # process, which TIOCEXCL on a pty does not. Not for inherited ones: all pty masters share one inode.
    if not os.isatty(fd):
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY)) from error


def _make_raw(fd: int) -> None:
    """As cfmakeraw(3), and no modem lines: a virtual serial line has none that could be trusted."""
    attributes = termios.tcgetattr(fd)
    control = attributes[2] & ~(termios.CSIZE | termios.PARENB)
    attributes[0:4] = [0, 0, control | termios.CS8 | termios.CREAD | termios.CLOCAL, 0]
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
