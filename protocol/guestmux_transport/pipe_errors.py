"""Errors of byte pipes and ports: what every OSError of this layer becomes, with what to do about it."""

from __future__ import annotations

import errno
import os

from guestmux_protocol.errors import GuestmuxError


class PipeError(GuestmuxError):
    """Root of what pipes and ports raise."""


class PipeClosed(PipeError):
    """The other side is gone, or the pipe was closed here; what was pending is lost."""


class OpenError(PipeError):
    """A pipe or port could not be opened; the text says why, and what to do where that is known."""


class NotFoundError(OpenError):
    """Nothing exists at the address."""


class RefusedError(OpenError):
    """The address exists, but nobody answers there."""


class NotPermittedError(OpenError):
    """This process may not open the address."""


class BusyError(OpenError):
    """Somebody else has it open, and it opens only once."""


_KINDS: dict[int, tuple[type[OpenError], str]] = {
    errno.ENOENT: (NotFoundError, "not found"),
    errno.ENOTDIR: (NotFoundError, "not found"),
    errno.ENODEV: (NotFoundError, "the device was unplugged"),
    errno.ENXIO: (NotFoundError, "there is no device behind this node"),
    errno.ECONNREFUSED: (RefusedError, "connection refused; nobody listens there"),
    errno.EACCES: (NotPermittedError, "permission denied"),
    errno.EPERM: (NotPermittedError, "permission denied"),
    errno.EBUSY: (BusyError, "another process holds the port; is qemu-ga running?"),
    errno.EADDRINUSE: (BusyError, "another process listens there"),
    # connect(2) of a non-blocking unix socket says so when the listener's backlog is full.
    errno.EAGAIN: (BusyError, "busy; too many hosts wait there already"),
}


def open_error(name: object, error: OSError) -> OpenError:
    """Translate what the kernel said when `name` was opened."""
    number = error.errno or errno.EIO
    kind, text = _KINDS.get(number, (OpenError, os.strerror(number)))
    return kind(f"{name}: {text}")
