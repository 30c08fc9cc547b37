"""The ways to the host, opened at start-up, so that what cannot be had is told before the agent becomes a daemon."""

from __future__ import annotations

import os
import socket
import termios
from collections.abc import Callable, Mapping
from typing import Protocol

from guestmux_protocol.addresses import (
    AddressError,
    Device,
    InheritedFd,
    UnixListen,
    VsockListen,
    parse_port_address,
)
from guestmux_qga.options import METHODS, ConfigurationError, Options
from guestmux_transport.char_device import open_character_device
from guestmux_transport.pipe_errors import open_error
from guestmux_transport.port import Port
from guestmux_transport.port_device import DevicePort
from guestmux_transport.port_fd import InheritedListenPort, open_inherited
from guestmux_transport.port_unix_listen import UnixListenPort
from guestmux_transport.port_vsock_listen import VsockListenPort
from guestmux_transport.socket_activation import FIRST_FD, passed_fds

SERIAL_SPEED = termios.B38400
"""Bits a second on isa-serial (GA_CHANNEL_BAUDRATE_DEFAULT in qga/channel-posix.c)."""

_UNFIT = "unsupported listen fd type"
_ACTIVATED_METHODS = {socket.AF_UNIX: "unix-listen", socket.AF_VSOCK: "vsock-listen"}


class OpenablePort(Port, Protocol):
    """A port that can be opened ahead of its use."""

    def open_now(self) -> None:
        """Open it, or raise OpenError."""


def activated(options: Options, environment: Mapping[str, str]) -> bool:
    """Whether systemd handed over a listening socket, which then overrides method and path.

    Raises:
        ConfigurationError: more than one, or one that is not listened at.
    """
    number = len(passed_fds(environment))
    if number > 1:
        raise ConfigurationError("guestmux-qga only supports listening on one socket")
    if number:
        options.method, options.path = _activated_method(), None
    return bool(number)


def make_port(options: Options, *, is_activated: bool) -> OpenablePort:
    """The port of a method and its path; `--retry-path` makes one that is opened again when it broke.

    Raises:
        ConfigurationError: the method is unknown, or lacks its path; or the path cannot be one.
    """
    if is_activated:
        return _activated_port()
    if options.method not in METHODS:
        raise ConfigurationError(f"unsupported channel method/type: {options.method}")
    path = options.channel_path
    if path is None:
        raise ConfigurationError("must specify a path for this channel")
    try:
        return _make(options, path)
    except AddressError as error:
        raise ConfigurationError(str(error)) from error


def _make(options: Options, path: str) -> OpenablePort:
    # A daemon changes its directory.
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() leaves ".." in, resolve() follows links
    match options.method:
        case "unix-listen":
            address = parse_port_address(f"unix-listen:{absolute},mode={0o777 & ~_umask():04o}")
            assert isinstance(address, UnixListen)
            return UnixListenPort(address)
        case "vsock-listen":
            vsock = parse_port_address(f"vsock-listen:{path}")
            assert isinstance(vsock, VsockListen)
            return VsockListenPort(vsock)
        case "isa-serial":
            return _device(absolute, lambda: open_serial(absolute), options)
    return _device(absolute, lambda: open_character_device(absolute, absolute), options)


def _device(path: str, open_device: Callable[[], int], options: Options) -> DevicePort:
    return DevicePort(Device(path), open_device, opens_again=options.retry_path)


def open_serial(path: str) -> int:
    """Open a serial line: raw, 38400 bits a second, what it received before is dropped.

    Raises:
        OpenError: it cannot be opened.
    """
    fd = open_character_device(path, path)
    try:
        if os.isatty(fd):
            attributes = termios.tcgetattr(fd)
            attributes[4] = attributes[5] = SERIAL_SPEED
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
            termios.tcflush(fd, termios.TCIFLUSH)
    except termios.error as error:
        os.close(fd)
        raise open_error(path, OSError(*error.args)) from error
    return fd


def _umask() -> int:
    # There is no way to ask for it but to set it; nothing else runs yet.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _activated_method() -> str:
    try:
        with socket.socket(fileno=FIRST_FD) as inherited:
            method = _ACTIVATED_METHODS.get(socket.AddressFamily(inherited.family))
            inherited.detach()
    except OSError as error:
        raise ConfigurationError(_UNFIT) from error
    if method is None:
        raise ConfigurationError(_UNFIT)
    return method


def _activated_port() -> InheritedListenPort:
    port = open_inherited(InheritedFd(FIRST_FD))
    if not isinstance(port, InheritedListenPort):
        raise ConfigurationError(_UNFIT)
    return port
