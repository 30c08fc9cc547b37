"""Texts that name where a forwarding listens, as `tcp:2222` or `unix:/tmp/s`, and their parsed forms."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

from guestmux_protocol.addresses import AddressError, UnixListen, parse_port_address

LOOPBACK = "127.0.0.1"
"""Where nothing else is said: whoever reaches the listener reaches into the guest."""

MAX_PORT = 65535

LOCAL_FORMS = "unix:PATH[,mode=0600], tcp:PORT, tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT"


@dataclass(frozen=True, slots=True)
class TcpListen:
    """A TCP port of this host.

    Attributes:
        host: an IPv4 or IPv6 address of ours.
        port: the port's number; 0 for one that is free.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this host reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


ListenAddress: TypeAlias = UnixListen | TcpListen


def parse_listen_address(text: str) -> ListenAddress:
    """Parse where a forwarding listens on this host.

    Raises:
        AddressError: it is no such address.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix":
        address = parse_port_address(f"unix-listen:{rest}")
        assert isinstance(address, UnixListen)
        return address
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        return TcpListen(_host(text, host), _port(text, port))
    raise AddressError(f"'{text}' is no address to listen at; accepted are {LOCAL_FORMS}")


def _host(text: str, host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return str(ipaddress.ip_address(host or LOOPBACK))
    except ValueError as error:
        raise AddressError(f"'{text}': '{host}' is no IP address; accepted are {LOCAL_FORMS}") from error


def _port(text: str, digits: str) -> int:
    if (
        digits.isascii()
        and digits.isdecimal()
        and len(digits) <= len(str(MAX_PORT))
        and int(digits) <= MAX_PORT
    ):
        return int(digits)
    raise AddressError(f"'{text}': a port from 0 to {MAX_PORT} must end it")
