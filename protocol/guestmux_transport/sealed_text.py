"""JSON text that is too large for a D-Bus message, as a sealed memfd: written once, and unchangeable from then on.

D-Bus would copy it some four times, through a daemon that bounds its messages; the file is passed as it is.
"""

from __future__ import annotations

import fcntl
import os

from guestmux_transport.errors import InvalidValue, TooLarge

LARGE_BYTES = 128 * 1024
"""Text of more bytes than this travels as a memfd: up to here a message is passed on as fast as a file is made."""

MAX_TEXT_BYTES = 65 * 1024 * 1024
"""The largest text: 48 MiB as base64 and what stands around it (guest-file-read)."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def write_sealed(text: bytes) -> int:
    """Put text into a new sealed memfd; gives its descriptor, the caller's to close.

    Raises:
        TooLarge: more than MAX_TEXT_BYTES.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise TooLarge(f"{len(text)} bytes of JSON; at most {MAX_TEXT_BYTES} are passed on")
    fd = os.memfd_create("guestmux", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)
    except OSError as error:
        os.close(fd)
        raise TooLarge(f"no memory for {len(text)} bytes of JSON: {os.strerror(error.errno or 0)}") from error
    return fd


def sealed_size(untrusted_fd: int) -> int:
    """The size of a sealed memfd, which nobody can change after.

    Raises:
        InvalidValue: it is none, or lacks a seal: its writer could cut or change it while it is read.
        TooLarge: more than MAX_TEXT_BYTES.
    """
    try:
        seals = fcntl.fcntl(untrusted_fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise InvalidValue("the descriptor is no memfd") from error
    if seals & _SEALS != _SEALS:
        raise InvalidValue("the memfd is not sealed against shrinking, growing and writing")
    size = os.fstat(untrusted_fd).st_size
    if size > MAX_TEXT_BYTES:
        raise TooLarge(f"a memfd of {size} bytes; at most {MAX_TEXT_BYTES} are taken")
    return size


def read_sealed(untrusted_fd: int) -> bytes:
    """The text in a sealed memfd, wherever its writer left the position.

    Raises:
        InvalidValue, TooLarge: as `sealed_size`.
    """
    size = sealed_size(untrusted_fd)
    text = os.pread(untrusted_fd, size, 0)
    if len(text) != size:
        raise InvalidValue(f"the memfd gives {len(text)} of its {size} bytes")
    return text
